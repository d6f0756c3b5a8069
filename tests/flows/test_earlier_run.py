from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.earlier_run import earlier_outcome, keep_outcome, run_digest
from flows.parameters import TrainParameters
from infra.settings import Settings, load_settings
from tasks.segments.store import SegmentStore


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "mlflow.db").touch()
    return load_settings(home=tmp_path, device="cpu")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run's folder with all that it leaves."""
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "nodes").mkdir()
    (tmp_path / "nodes" / "abc").mkdir(parents=True)
    for name in ("run/model/tree.json", "run/model/nodes/00.safetensors", "run/report.html", "nodes/abc/result.json"):
        (tmp_path / name).touch()
    return tmp_path / "run"


OUTCOME = {
    "root": "r",
    "nodes": {"r": {"status": "trained", "n": 3}, "hat": {"status": "degenerate"}},
    "controls": {"background only": "abc"},
    "out": "moved from here",
}


def test_an_earlier_outcome_comes_back_as_cached(out: Path, settings: Settings) -> None:
    keep_outcome(out, "d", OUTCOME)
    nodes = {"r": {"status": "cached", "n": 3}, "hat": {"status": "degenerate"}}
    assert earlier_outcome(out, "d", settings) == {**OUTCOME, "nodes": nodes, "out": str(out)}


@pytest.mark.parametrize(
    "lost",
    [
        "run/model/tree.json",
        "run/model/nodes/00.safetensors",
        "run/report.html",
        "nodes/abc/result.json",
        "mlflow.db",
        "run/outcome.json",
    ],
)
def test_a_run_that_lost_a_file_is_none(lost: str, out: Path, settings: Settings, tmp_path: Path) -> None:
    keep_outcome(out, "d", OUTCOME)
    (tmp_path / lost).unlink()
    assert earlier_outcome(out, "d", settings) is None


def test_another_run_s_outcome_is_not_taken(out: Path, settings: Settings) -> None:
    keep_outcome(out, "d", OUTCOME)
    assert earlier_outcome(out, "e", settings) is None
    (out / "outcome.json").write_text("[]")
    assert earlier_outcome(out, "d", settings) is None


def test_the_digest_is_of_all_that_the_outcome_depends_on(grown: Any, settings: Settings, tmp_path: Path) -> None:
    parameters = TrainParameters(store=grown.store.path)
    first = run_digest(parameters, settings, grown.store, grown.tree, grown.results)
    assert first == run_digest(parameters, settings, grown.store, grown.tree, grown.results)
    retrained = {**grown.results, "root": replace(grown.results["root"], key="another")}
    others = [
        run_digest(parameters, settings, grown.store, grown.tree, retrained),
        run_digest(parameters.model_copy(update={"decision": "own"}), settings, grown.store, grown.tree, grown.results),
        run_digest(parameters.model_copy(update={"controls": True}), settings, grown.store, grown.tree, grown.results),
        run_digest(parameters, load_settings(home=tmp_path / "other"), grown.store, grown.tree, grown.results),
    ]
    assert len({first, *others}) == 5


def test_another_segmenter_is_another_run(
    grown: Any, settings: Settings, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store")
    parameters = TrainParameters(store=store.path)

    def digest() -> str:
        return run_digest(parameters, settings, store, grown.tree, grown.results)

    without = digest()
    (tmp_path / "store" / "segmenter").mkdir()
    (tmp_path / "store" / "segmenter" / "model.safetensors").write_bytes(b"one")
    first = digest()
    (tmp_path / "store" / "segmenter" / "model.safetensors").write_bytes(b"two")
    assert len({without, first, digest()}) == 3
