"""Trees that a stranger wrote down in YAML: the tree, or an error of ours, soon."""

import datetime
import math
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.segments.tree import MOST_LEAVES, SegmentTree, balanced_tree, load_tree, parse_tree
from tasks.segments.yaml_file import MOST_BYTES, read_yaml
from tests.segments.mutations import EXAMPLES, damaged, every_input

TREES = (
    {"tree": [["hair", "hat"], ["eyes", ["nose", "lips"]]], "leaves": {"eyes": ["l_eye", "r_eye"]}},
    {"tree": ["a", "b", "c", ["d", "e"]], "names": {"left": ["a", "b"], "right": ["c", "d+e"]}},
    balanced_tree([f"part {number}" for number in range(20)]).to_dict(),
)
ORIGINALS = tuple(
    yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True).encode()
    for tree in TREES
    for flow in (None, True, False)
)
SCALARS = st.one_of(
    st.sampled_from(
        ["a", "b", "c", "eyes", "root", "a+b", "", "../x", "x" * 300, "\x1b[2J", "a\nb", "no", "1:2", "<<", "="]
    ),
    st.text(max_size=4),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, datetime.UTC])),
)
KEYS = st.one_of(st.sampled_from(["tree", "names", "leaves", "a", "b", "eyes"]), SCALARS)
VALUES = st.recursive(
    SCALARS, lambda part: st.one_of(st.lists(part, max_size=4), st.dictionaries(KEYS, part, max_size=3)), max_leaves=12
)
NESTED = st.recursive(st.just("leaf"), lambda part: st.lists(part, min_size=1, max_size=4), max_leaves=9)
# What YAML lets one write that is none of the above.
PIECES = st.sampled_from(
    ["&a ", "*a", "<<: ", "!!int x", "!!python/name:os.system ", "!!timestamp 2001-99-99", "? ", "- ", ": ", "{", "[",
     "]", "}", '"\\e"', "|\n", "%YAML 9.9\n", "---\n", "\t", "#", "2001-13-01", "1" * 5000, "'", "tree: ", "\0",
     "\ufeff", "a", ", "]
)  # fmt: skip


def numbered(part: Any, numbers: Iterator[int]) -> Any:
    return f"s{next(numbers)}" if isinstance(part, str) else [numbered(child, numbers) for child in part]


def is_sound(tree: SegmentTree) -> None:
    """Every leaf once, two children a node, one root that shows all, and the same tree again from its own values."""
    names = [node.name for node in tree.nodes]
    leaves = [node.name for node in tree.nodes if not node.children]
    assert len(set(names)) == len(names) == 2 * len(leaves) - 1
    assert 2 <= len(leaves) <= MOST_LEAVES
    assert sorted(tree.root.leaves) == sorted(leaves)
    assert [node.classes is None for node in tree.nodes] == [False] * (len(names) - 1) + [True]
    assert all(len(node.children) in (0, 2) for node in tree.nodes)
    assert all(name.strip("\N{NO-BREAK SPACE}") and "\n" not in name and "\x1b" not in name for name in names)
    assert parse_tree(tree.to_dict()) == tree


@pytest.mark.parametrize("examples", EXAMPLES)
def test_damaged_files(examples: int, tmp_path: Path) -> None:
    trees = dict(zip(ORIGINALS, [parse_tree(tree) for tree in TREES for _ in range(3)], strict=True))
    path = tmp_path / "tree.yaml"

    def check(case: tuple[bytes, bytes]) -> str | None:
        original, data = case
        path.write_bytes(data)
        tree = load_tree(path)
        is_sound(tree)
        if data != original:
            return None
        assert tree == trees[original]
        return "as it was"

    counts = every_input(examples, damaged(ORIGINALS), check)
    assert counts["as it was"] and counts["refused"]


@pytest.mark.parametrize("examples", EXAMPLES)
def test_any_text(examples: int, tmp_path: Path) -> None:
    path = tmp_path / "tree.yaml"

    def check(parts: list[str]) -> str | None:
        path.write_text("".join(parts), encoding="utf-8", errors="surrogatepass")
        is_sound(load_tree(path))
        return None

    texts = st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=12)
    whole = st.builds(lambda parts: ["tree: [a, b]\n", *parts], texts)
    counts = every_input(examples, st.one_of(texts, whole), check)
    assert counts["answered"] and counts["refused"]


@pytest.mark.parametrize("examples", EXAMPLES)
def test_any_values(examples: int, tmp_path: Path) -> None:
    path = tmp_path / "tree.yaml"
    plain = NESTED.map(lambda part: {"tree": numbered(part, count())})
    trees = st.fixed_dictionaries({"tree": st.one_of(NESTED, VALUES)}, optional={"names": VALUES, "leaves": VALUES})

    def check(values: Any) -> str | None:
        path.write_text(
            yaml.dump(values, Dumper=NoAliases, allow_unicode=True), encoding="utf-8", errors="surrogatepass"
        )
        tree = load_tree(path)
        is_sound(tree)
        assert tree == parse_tree(values)
        return None

    counts = every_input(examples, st.one_of(plain, trees, VALUES), check)
    assert counts["answered"] and counts["refused"]


class NoAliases(yaml.SafeDumper):
    """Writes out what occurs twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def bomb(first: str, unfold: str) -> str:
    """Nine lines, each of which stands for ten of the line before."""
    names = "abcdefghi"
    lines = [f"a: &a {first}"]
    lines += [f"{name}: &{name} " + unfold.format(", ".join([f"*{before}"] * 10)) for before, name in pairwise(names)]
    return "\n".join(lines) + "\ntree: [*i, x]\n"


BOMBS = {
    "lists in lists": bomb("[x, x]", "[{}]"),
    "mappings merged": bomb("{x: y}", "{{<<: [{}]}}"),
    "a list of itself": "tree: &all [*all, b]",
    "nested without end": "tree: " + "[" * (MOST_BYTES - 100),
    "nested mappings": "{" * MOST_BYTES,
    "keys of keys": "? " * (MOST_BYTES // 2),
    "too long": "tree: [a, b]\n#" + "x" * MOST_BYTES,
    "too many leaves": f"tree: {[f's{number}' for number in range(MOST_LEAVES + 1)]}",
    "too many classes": f"tree: [a, b]\nleaves: {{a: {[f's{number}' for number in range(MOST_LEAVES + 1)]}}}",
    "too many names": "tree: [a, b]\nnames:\n" + "".join(f"  n{n}: [a, b{n}]\n" for n in range(MOST_LEAVES)),
    "a number of many digits": f"tree: [{'1' * 5000}, b]",
    "no such month": "tree: [2001-99-99, b]",
    "no number": "tree: [!!int x, b]",
    "no truth": "tree: [!!bool x, b]",
    "no time": "tree: [!!timestamp x, b]",
    "a key twice": "tree: [a, b]\ntree: [c, d]",
    "a leaf twice": "tree: [a, [b, a]]",
    "a key that is a list": "? [a, b]\n: c",
    "an object": "tree: !!python/object/apply:os.getcwd []",
    "an escape": 'tree: ["\\e[2J", b]',
    "a line break": 'tree: ["a\\nb", c]',
    "half a pair of letters": 'tree: ["\\ud800", b]',
    "no name": 'tree: ["", b]',
}


@pytest.mark.parametrize("name", BOMBS)
def test_each_trap_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tree.yaml"
    path.write_text(BOMBS[name], encoding="utf-8")

    def check(path: Path) -> str | None:
        load_tree(path)
        return None

    assert set(every_input(1, st.just(path), check)) == {"refused"}


def test_as_many_leaves_as_classes_are_read(tmp_path: Path) -> None:
    leaves = [f"class {number}" for number in range(MOST_LEAVES)]
    described = balanced_tree(leaves).to_dict()
    path = tmp_path / "tree.yaml"
    path.write_text(yaml.dump(described, Dumper=NoAliases, default_flow_style=True, width=math.inf), encoding="utf-8")
    assert [leaf.name for leaf in load_tree(path).leaves] == leaves
    assert path.stat().st_size < MOST_BYTES


def test_plain_values_come_as_they_are_written(tmp_path: Path) -> None:
    values = {"a": [1, 2.5, True, None, "x", {"b": []}], 3: datetime.date(2001, 2, 3)}
    path = tmp_path / "v.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert read_yaml(path, "the file") == values
    with pytest.raises(InputError, match=r"^the file .*nowhere\.yaml cannot be read"):
        read_yaml(tmp_path / "nowhere.yaml", "the file")
