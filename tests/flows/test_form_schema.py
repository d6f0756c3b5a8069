"""Forms of parameters, written out by hand."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter

from flows.form_schema import Described, Parameters, by_any_of


@dataclass(frozen=True)
class Brush:
    """What to paint with.

    Not shown in a form.

    Attributes:
        hair: of what; it may be
            bristle.
        width: millimetres.
        hand: which one holds it.

    Raises:
        ValueError: never.
    """

    hair: str = "sable"
    width: int = 4
    hand: str = "left"


class Tin(Parameters):
    kind: Literal["tin"] = "tin"
    litres: float


class Tube(Parameters):
    kind: Literal["tube"] = "tube"


class Surface(Parameters):
    area: float


class Wall(Surface):
    form_first: ClassVar = ("name",)
    name: str
    brush: Annotated[Brush, Described(choices={"hair": ("sable", "hog")}, hidden=["hand"])] = Brush()
    paint: Annotated[Tin | Tube, Field(discriminator="kind", json_schema_extra=by_any_of)] = Tube()


def schema(model: type[Parameters]) -> dict[str, Any]:
    found: dict[str, Any] = model.model_json_schema()
    return found


def test_a_dataclass_is_described_by_its_docstring() -> None:
    brush = schema(Wall)["$defs"]["Brush"]
    assert brush["description"] == "What to paint with."
    assert brush["properties"] == {
        "hair": {
            "title": "Hair",
            "type": "string",
            "default": "sable",
            "description": "of what; it may be bristle.",
            "enum": ["sable", "hog"],
            "position": 0,
        },
        "width": {"title": "Width", "type": "integer", "default": 4, "description": "millimetres.", "position": 1},
    }


def test_a_hidden_field_is_the_code_s_alone() -> None:
    shown = schema(Wall)
    assert shown["$defs"]["Brush"]["additionalProperties"] is False
    # As a default of the form it would be sent back, and refused.
    assert shown["properties"]["brush"] == {"$ref": "#/$defs/Brush", "position": 2}
    assert Wall(name="north", area=2, brush=Brush(hand="right")).brush.hand == "right"


def test_fields_stand_as_they_are_declared_after_those_that_are_first() -> None:
    shown = schema(Wall)["properties"]
    assert list(shown) == ["name", "area", "brush", "paint"]
    assert [field["position"] for field in shown.values()] == [0, 1, 2, 3]


def test_a_field_that_nobody_can_change_stands_last() -> None:
    assert list(schema(Tin)["properties"]) == ["litres", "kind"]


def test_a_union_can_be_chosen_from() -> None:
    paint = schema(Wall)["properties"]["paint"]
    assert paint["anyOf"] == [{"$ref": "#/$defs/Tin"}, {"$ref": "#/$defs/Tube"}]
    assert not {"oneOf", "discriminator"} & set(paint)
    assert Wall.model_validate({"name": "n", "area": 1, "paint": {"kind": "tin", "litres": 2}}).paint == Tin(litres=2)


def test_one_dataclass_may_stand_in_two_places() -> None:
    described = Annotated[Brush, Described(hidden=["hand"])]
    adapter: TypeAdapter[Any] = TypeAdapter(tuple[described, described])
    brush = adapter.json_schema()["$defs"]["Brush"]
    assert list(brush["properties"]) == ["hair", "width"]
    assert brush["properties"]["width"]["description"] == "millimetres."
