"""What the schema of a flow's parameters says beside pydantic's own.

From it Prefect's UI draws the form of a run, and its API refuses what does not fit.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic_core import CoreSchema

Schema = dict[str, Any]

_ATTRIBUTES = re.compile(r"^Attributes:\n((?:[ ]+.*\n?|\n)*)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)


class Parameters(BaseModel):
    """What all parameters share: nothing unknown is taken, nothing is changed later.

    Attributes:
        form_first: names of the fields that stand first in the form; the others follow as they are declared.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    form_first: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        shown = handler(core_schema)
        definition = handler.resolve_ref_schema(shown)
        for field in definition["properties"].values():
            if "$ref" in field:
                field.pop("default", None)  # the nested form's fields have their own
        _put_in_order(definition, dict.fromkeys((*cls.form_first, *cls.model_fields)))
        return shown


class Described:
    """Annotation of a dataclass: the form describes each field as its docstring does."""

    def __init__(self, choices: Mapping[str, Sequence[str]] | None = None, hidden: Iterable[str] = ()) -> None:
        """Say what the dataclass's types do not.

        Args:
            choices: of a text field, the values that it may have.
            hidden: fields that something else decides. They stand in no form, and the API refuses them.
        """
        self._choices = dict(choices or {})
        self._hidden = frozenset(hidden)

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        shown = handler(core_schema)
        definition = handler.resolve_ref_schema(shown)
        properties: dict[str, Schema] = definition["properties"]
        summary, described = _read_docstring(definition["description"])
        definition["description"] = summary
        for name, text in described.items():
            properties[name]["description"] = text
        for name, values in self._choices.items():
            properties[name]["enum"] = list(values)
        _put_in_order(definition, [name for name in properties if name not in self._hidden])
        return shown


def by_any_of(schema: Schema) -> None:
    """Let a union that is told apart by a field be chosen in the form, which knows no `oneOf`."""
    schema["anyOf"] = schema.pop("oneOf")
    del schema["discriminator"]


def _put_in_order(definition: Schema, names: Iterable[str]) -> None:
    properties = definition["properties"]
    names = sorted(names, key=lambda name: "const" in properties[name])  # last what nobody can change
    # The position as well: a PostgreSQL of the server's keeps no order of keys.
    definition["properties"] = {name: {**properties[name], "position": place} for place, name in enumerate(names)}


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The first paragraph, and each attribute's text on one line."""
    found = _ATTRIBUTES.search(text)
    attributes = _ATTRIBUTE.findall(found[1]) if found else []
    return _on_one_line(text.split("\n\n")[0]), {name: _on_one_line(words) for name, words in attributes}


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
