import json
from pathlib import Path
from typing import Any

import pytest

from tests.flows.command_line import Heml


@pytest.fixture
def retrieve(heml: Heml, grown: Any, tmp_path: Path) -> Heml:
    """Judges retrieval with the trained tree of the drawings, in the folder `out`."""
    given = ("--model", grown.trained.path, "--store", grown.store.path, "--out", tmp_path / "out")
    return lambda *arguments: heml("retrieve", *given, *arguments)


def test_it_writes_what_it_says_of_the_root_by_default(retrieve: Heml, grown: Any, tmp_path: Path) -> None:
    done = retrieve("--ways", 2, "--queries", 3, "--episodes", 10, "--seed", 1).done()
    assert done.out.startswith(f"opening {grown.trained.path}\n")
    written = json.loads((tmp_path / "out/retrieval.json").read_text(encoding="utf-8"))
    assert written["node"] == "root"
    # One nearest neighbour is right or not: Recall@1 is the P@1 of training.
    assert written["retrieval"]["recall"]["1"]["value"] == pytest.approx(grown.results["root"].precision.at[1])
    assert [few["options"]["shots"] for few in written["few_shot"]] == [1, 5]
    assert all(few["options"]["episodes"] == 10 and few["options"]["seed"] == 1 for few in written["few_shot"])
    for name in ("retrieval.json", "retrieval.md", *written["sheets"]):
        assert (tmp_path / "out" / name).is_file() and str(tmp_path / "out" / name) in done.out
    for line in ("Recall@8", "mAP@R", "2-way 5-shot accuracy"):
        assert line in done.out


def test_a_node_may_be_named_and_few_shot_left_out(retrieve: Heml, tmp_path: Path) -> None:
    retrieve("--node", "badge", "--episodes", 0).done()
    written = json.loads((tmp_path / "out/retrieval.json").read_text(encoding="utf-8"))
    assert (written["node"], written["few_shot"]) == ("badge", [])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), ("5-way 1-shot", "there are 0 (day 8, night 8)", "--episodes 0")),
        (("--node", "spot"), ("'spot' has no model", "8 are needed")),
        (("--ways", 1), ("ways of at least 2; got 1",)),
    ],
)
def test_wrong_input_is_one_line(
    arguments: tuple[object, ...], says: tuple[str, ...], retrieve: Heml, tmp_path: Path
) -> None:
    retrieve(*arguments).refused(*says)
    assert not (tmp_path / "out").exists()
