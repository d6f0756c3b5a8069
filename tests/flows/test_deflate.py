"""Deflating as a Prefect flow: remedies' stores, retrained nodes beside those that stay, and before beside after."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect.task_runners import ThreadPoolTaskRunner

from flows import deflate as flow_module
from flows.deflate import deflate
from flows.parameters import DeflateParameters
from flows.trainings import Training
from infra.settings import Settings, load_settings
from infra.tracking import open_tracker
from tasks.bias.deflation import RECOMBINE, REMEDIES
from tasks.deflate import DeflateRun
from tasks.errors import InputError
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.trained_tree import open_trained_tree
from tasks.segments.store import open_store
from tests.memory_tracker import MemoryTracker


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = {"HOME": str(tmp_path / "home"), "ENGINE": "threads", "DEVICE": "cpu", "MLFLOW_URI": "memory:deflate"}
    for name, value in settings.items():
        monkeypatch.setenv(f"HEML_{name}", value)
    plan = {"segment": "badge", "classes": ["badge"], "kind": "other-label", "seed": 7}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    return tmp_path


def run(parameters: DeflateParameters) -> str | None:
    table: str | None = deflate.with_options(task_runner=ThreadPoolTaskRunner(max_workers=1))(parameters)
    return table


@pytest.mark.server
def test_what_shows_the_segment_is_trained_anew_and_all_is_judged_on_photos(
    prefect_server: str, grown: Any, home: Path
) -> None:
    table = run(
        DeflateParameters(
            model=str(grown.trained.path),
            store=grown.store.path,
            out=home / "out",
            group="spot",
            plan=home / "plan.json",
        )
    )
    assert table is not None and (home / "out" / "deflation.md").read_text() == table
    found = json.loads((home / "out" / "deflation.json").read_text())
    assert [one["name"] for one in found["outcomes"]] == ["before", *REMEDIES]
    rows = {one["name"]: one for one in found["outcomes"]}
    assert rows["before"]["images"] == 40
    assert 30 < rows[RECOMBINE]["synthetic"] == rows[RECOMBINE]["images"] - 40 - 2 <= 40  # two held-out copies
    assert rows["reweight"]["synthetic"] == rows["subsample"]["synthetic"] == 0
    assert (rows["before"]["epochs"], rows[RECOMBINE]["epochs"]) == (0, 2)  # of 4, on twice the images
    by_itself = grown.trained.precision("root", grown.trained.decision).at[1]
    assert rows["before"]["among_validation"] == pytest.approx(by_itself)
    after = open_trained_tree(home / "out" / "recombine" / "model")
    for name, node in after.nodes.items():
        assert (node.sha256 == grown.trained.nodes[name].sha256) == (name in ("body", "spot")), name
    kept = load_checkpoint(after.path / str(after.nodes["body"].file))
    assert all((value == grown.trained.model("body").state_dict()[key]).all() for key, value in kept.items())
    store = open_store(home / "out" / "recombine" / "store")
    seeds = {row["seed"] for row in store.columns("train", ["provenance"])["provenance"] if row}
    assert seeds == {grown.options.seed}  # held-out photos are those of the tree's own training
    assert "badge" in (home / "out" / "audit-after" / "bias.html").read_text()
    tracker = open_tracker("memory:deflate")
    assert isinstance(tracker, MemoryTracker)
    assert any("deflation/deflation.md" in kept.artifacts for kept in tracker.runs.values())


@pytest.mark.server
def test_without_a_shortcut_nothing_is_made(
    prefect_server: str, grown: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_module, "_audit", lambda *_: {"plan": None})
    given = {"model": str(grown.trained.path), "store": grown.store.path, "out": home / "out", "group": "spot"}
    assert run(DeflateParameters.model_validate(given)) is None
    assert not (home / "out").exists()


def test_combined_nodes_are_trained_anew_for_as_many_epochs_as_before(
    grown: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Planned(Exception): ...

    def stop(planned: dict[str, Training], settings: Settings) -> None:
        raise Planned(planned)

    monkeypatch.setattr(flow_module, "Trainings", stop)
    trained = replace(grown.trained, options=replace(grown.options, epochs=4, combined_epochs=2))
    deflating = DeflateRun(
        model=str(grown.trained.path),
        store=str(grown.store.path),
        group="spot",
        plan={},
        device="cpu",
        nodes=str(home / "nodes"),
        decoded=str(home / "decoded"),
        out=str(home / "out"),
        tracking="memory:deflate",
        run_id="none",
    )
    with pytest.raises(Planned) as stopped:
        leaf = trained.tree["badge"]
        flow_module._retrained(RECOMBINE, trained, leaf, grown.store, grown.store, deflating, load_settings())
    planned = stopped.value.args[0]
    epochs = {name: planned[name].submit.args[0].options.epochs for name in ("badge", "figure", "root")}
    assert epochs == {"badge": 4, "figure": 2, "root": 2}


def test_a_store_without_groups_needs_one(grown: Any, home: Path, make_store: Any) -> None:
    bare = make_store(home / "bare", change=lambda row: replace(row, group=None))
    given = {"model": str(grown.trained.path), "store": bare.path, "out": home / "out"}
    with pytest.raises(InputError, match=r"deflating is judged by the worst group, and .* has none"):
        deflate.fn(DeflateParameters.model_validate(given))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"segment": "figure", "classes": ["body", "badge"]}, "deflating trains a leaf of the tree anew"),
        ({"classes": ["badge", "spot"]}, r"name one, with the classes that it unites: body \(body\); badge \(badge\)"),
        ({"kind": "same-label"}, "same label, which is the control"),
        ({"segment": "nose"}, "the tree has no node 'nose'"),
    ],
)
def test_a_plan_that_does_not_fit_the_tree_is_refused_before_anything_is_made(
    grown: Any, home: Path, change: dict[str, object], said: str
) -> None:
    plan = json.loads((home / "plan.json").read_text())
    (home / "plan.json").write_text(json.dumps(plan | change))
    given = {"model": str(grown.trained.path), "store": grown.store.path, "out": home / "out", "group": "spot"}
    with pytest.raises(InputError, match=said):
        deflate.fn(DeflateParameters.model_validate({**given, "plan": home / "plan.json"}))
    assert not (home / "out").exists()
