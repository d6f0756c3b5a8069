import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def retrieve(grown: Any, tmp_path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from flows.cli import main; main()", "--home", str(tmp_path / "home"), "retrieve"]
    given = ("--model", grown.trained.path, "--store", grown.store.path, "--out", tmp_path / "out", *arguments)
    return subprocess.run([*command, *map(str, given)], capture_output=True, text=True, timeout=300, check=False)


def test_it_writes_what_it_says_of_the_root_by_default(grown: Any, tmp_path: Path) -> None:
    done = retrieve(grown, tmp_path, "--ways", 2, "--queries", 3, "--episodes", 10, "--seed", 1)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "out/retrieval.json").read_text(encoding="utf-8"))
    assert written["node"] == "root"
    # One nearest neighbour is right or not: Recall@1 is the P@1 of training.
    assert written["retrieval"]["recall"]["1"]["value"] == pytest.approx(grown.results["root"].precision.at[1])
    assert [few["options"]["shots"] for few in written["few_shot"]] == [1, 5]
    assert all(few["options"]["episodes"] == 10 and few["options"]["seed"] == 1 for few in written["few_shot"])
    for name in ("retrieval.json", "retrieval.md", *written["sheets"]):
        assert (tmp_path / "out" / name).is_file() and str(tmp_path / "out" / name) in done.stdout
    for line in ("Recall@8", "mAP@R", "2-way 5-shot accuracy"):
        assert line in done.stdout


def test_a_node_may_be_named_and_few_shot_left_out(grown: Any, tmp_path: Path) -> None:
    done = retrieve(grown, tmp_path, "--node", "badge", "--episodes", 0)
    assert done.returncode == 0, done.stderr
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
    arguments: tuple[object, ...], says: tuple[str, ...], grown: Any, tmp_path: Path
) -> None:
    done = retrieve(grown, tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and all(words in done.stderr for words in says), done.stderr
    assert not (tmp_path / "out").exists()
