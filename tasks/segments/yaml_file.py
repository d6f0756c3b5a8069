"""YAML that a user hands in, read into plain values: small, without aliases, every key once, no objects.

An alias (`*name`) can make a file of a few lines unfold to gigabytes, and no tree needs one.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import InputError, reason_of

MOST_BYTES = 65_536  # a tree of 256 leaves with long names, all its nodes named, takes 60,000
DEEPEST = 300  # brackets in brackets; a tree of 256 leaves needs at most as many


def read_yaml(path: Path, what: str) -> Any:
    """The plain values in a YAML file: texts, numbers, truth values, dates, lists and mappings.

    Args:
        path: the file, in UTF-8.
        what: it is, for messages: "the tree file".

    Raises:
        InputError: the file cannot be read, is longer than `MOST_BYTES`, or is not such YAML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what} {path} cannot be read: {error}") from None
    if len(data) > MOST_BYTES:
        raise InputError(f"{what} {path} is longer than {MOST_BYTES} bytes: take out what does not belong there")
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except RecursionError:
        raise InputError(f"{what} {path} is nested too deep: no tree needs more than a few levels") from None
    # What PyYAML raises of a date without such a month, of `!!int x` and the like is none of its own errors.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{what} {path} is not YAML: {reason_of(error)}") from None


class _PlainLoader(yaml.SafeLoader):
    def fetch_flow_collection_start(self, kind: type[yaml.Token]) -> None:
        if self.flow_level > DEEPEST:  # PyYAML itself would find out late: its time grows with the square of the depth
            raise yaml.YAMLError("brackets are nested too deep")
        super().fetch_flow_collection_start(kind)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not taken: write out what they stand for")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            raise yaml.YAMLError(f"a key occurs twice in the mapping of line {node.start_mark.line + 1}")
        return mapping
