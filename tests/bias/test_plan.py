import json
from pathlib import Path
from typing import Any

import pytest

from tasks.bias.plan import RecombinationPlan, parse_plan, read_plan
from tasks.errors import InputError
from tasks.segments.store import SegmentStore

PLAN = RecombinationPlan(segment="figure", classes=("body", "badge"), kind="same-label", seed=3)
VALUES: dict[str, Any] = {"segment": "figure", "classes": ["body", "badge"], "kind": "same-label", "seed": 3}


def test_a_plan_goes_to_plain_values_and_back(tmp_path: Path) -> None:
    assert PLAN.to_dict() == VALUES
    assert parse_plan(json.loads(json.dumps(PLAN.to_dict())), "it") == PLAN
    for content in (VALUES, {"plan": VALUES, "shortcut": 1}):
        (tmp_path / "plan.json").write_text(json.dumps(content))
        assert read_plan(tmp_path / "plan.json") == PLAN


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a plan, which has the keys segment, classes, kind, seed"),
        ('{"plan": null}', "the audit found no shortcut"),
        ('{"plan": []}', "is not a plan"),
        (json.dumps({name: value for name, value in VALUES.items() if name != "seed"}), "has the keys"),
        (json.dumps({**VALUES, "count": 3}), "has the keys"),
        (json.dumps({**VALUES, "kind": "copy"}), "the kind 'copy': choose from other-label, same-label, balance-group"),
        (json.dumps({**VALUES, "kind": []}), "the kind"),
        (json.dumps({**VALUES, "segment": ""}), "the segment ''"),
        (json.dumps({**VALUES, "classes": []}), "the classes"),
        (json.dumps({**VALUES, "classes": "body"}), "the classes"),
        (json.dumps({**VALUES, "classes": [1]}), "the classes"),
        (json.dumps({**VALUES, "seed": -1}), "the seed -1"),
        (json.dumps({**VALUES, "seed": True}), "the seed True"),
        (json.dumps({**VALUES, "seed": 0.5}), "the seed 0.5"),
    ],
)
def test_a_wrong_file_is_named(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"wrong\.json") as raised:
        read_plan(path)
    assert said in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.json cannot be read"):
        read_plan(tmp_path / "nowhere.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"bytes\.json cannot be read"):
        read_plan(tmp_path / "bytes.json")


def test_classes_are_those_of_the_store(store: SegmentStore) -> None:
    assert PLAN.class_ids(store) == (1, 2)
    with pytest.raises(
        InputError, match=r"names the class 'beard', which the store .* it has: badge, body, ground, spot"
    ):
        parse_plan({**VALUES, "classes": ["beard"]}, "it").class_ids(store)
    with pytest.raises(InputError, match=r"has the background 'ground' \(class 0\)"):
        parse_plan({**VALUES, "classes": ["body", "ground"]}, "it").class_ids(store)
