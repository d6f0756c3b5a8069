"""The tree as a Prefect flow: trained once, cached after, and only what changed is trained again."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateName,
)
from prefect.exceptions import CancelledRun
from prefect.task_runners import ThreadPoolTaskRunner

from flows.parameters import TrainParameters
from flows.train_tree import runner_for, train_tree
from flows.trees import resolve_tree
from infra.settings import load_settings
from infra.stopping import StoppableThreads
from infra.tracking import fetch_model
from tasks.artifact_keys import artifact_key
from tasks.errors import InputError
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.trained_tree import open_trained_tree
from tasks.segments.store import SegmentStore

TREE = "tree: [[body, badge], [ground, spot]]\n"


def run(store: SegmentStore, tree: Path, options: TrainingOptions) -> dict[str, Any]:
    parameters = TrainParameters(store=store.path, tree=str(tree), options=options)
    return train_tree.with_options(task_runner=ThreadPoolTaskRunner(max_workers=2))(parameters)


@pytest.mark.parametrize(
    ("run_id", "controls", "done"), [("r", False, True), ("", False, False), (None, False, False), ("r", True, False)]
)
def test_a_cluster_is_asked_for_only_where_something_is_left_to_do(
    run_id: str | None, controls: bool, done: bool, store: SegmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = {node.name: SimpleNamespace(mlflow_run_id=run_id) for node in resolve_tree("auto", store).nodes}
    monkeypatch.setitem(runner_for.__globals__, "finished_nodes", lambda *_: results)
    settings = load_settings(home=tmp_path, engine="local", device="cpu")
    runner = runner_for(TrainParameters(store=store.path, controls=controls), settings)
    assert isinstance(runner, StoppableThreads) is done


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of the test's own, for flows on threads."""
    for name, value in (("HOME", str(tmp_path / "home")), ("ENGINE", "threads"), ("DEVICE", "cpu")):
        monkeypatch.setenv(f"HEML_{name}", value)


def statuses(outcome: dict[str, Any]) -> dict[str, str]:
    return {name: node["status"] for name, node in outcome["nodes"].items()}


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server", "home")
def test_a_second_run_trains_nothing_and_a_changed_leaf_only_its_ancestors(
    store: SegmentStore, options: TrainingOptions, tmp_path: Path
) -> None:
    tree = tmp_path / "tree.yaml"
    tree.write_text(TREE)
    before = runs_with_an_artifact_of("body")
    first = run(store, tree, options)
    assert statuses(first) == {
        "body": "trained",
        "badge": "trained",
        "body+badge": "trained",
        "ground": "trained",
        "spot": "degenerate",
        "ground+spot": "trained",
        "root": "trained",
    }
    assert first["root"] == "root"
    assert first["nodes"]["spot"]["precision_at_1"] is None
    assert first["nodes"]["root"]["n"] == store.rows("validation")

    second = run(store, tree, options)
    # A degenerate node has nothing to be taken from an earlier run but its reason.
    assert set(statuses(second).values()) <= {"cached", "degenerate"}
    digests = {name: node["checkpoint_sha256"] for name, node in first["nodes"].items()}
    assert {name: node["checkpoint_sha256"] for name, node in second["nodes"].items()} == digests
    assert second["model_uri"] == first["model_uri"]  # the same tree is not registered twice
    assert second["mlflow_run_id"] == first["mlflow_run_id"]  # and what was not trained is no run of its own
    report = Path(first["out"]) / "report.html"
    report.unlink()
    assert run(store, tree, options)["mlflow_run_id"] != first["mlflow_run_id"]
    assert report.is_file()

    tree.write_text("leaves: {badge: [badge, spot]}\ntree: [[body, badge], ground]\n")
    third = statuses(run(store, tree, options))
    assert third == {
        "body": "cached",
        "badge": "trained",
        "body+badge": "trained",
        "ground": "cached",
        "root": "trained",
    }

    settings = load_settings()
    opened = open_trained_tree(fetch_model(first["model_uri"], settings))
    assert [node.name for node in opened.tree.nodes] == list(first["nodes"])
    labels = store.labels["validation"]
    same = [one == other for at, one in enumerate(labels) for other in labels[at + 1 :]]
    assert opened.facts["chance"] == pytest.approx(sum(same) / len(same))
    client = MlflowClient(settings.tracking_uri)
    children = client.search_runs(
        [client.get_experiment_by_name("drawings").experiment_id],
        f"tags.`mlflow.parentRunId` = '{first['mlflow_run_id']}'",
    )
    assert {child.data.tags["node"] for child in children} == set(first["nodes"])
    badge = next(child for child in children if child.data.tags["node"] == "badge")
    history = client.get_metric_history(badge.info.run_id, "precision_at_1")
    assert len(history) == options.epochs or history  # early stop may end it before
    assert {item.path for item in client.list_artifacts(badge.info.run_id)} >= {"checkpoint", "sfam"}
    # A node that an earlier run trained has its artifact in each run that takes it.
    assert len(runs_with_an_artifact_of("body") - before) == 4


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server", "home")
def test_a_failed_node_says_why_and_those_that_never_ran_have_their_names(
    store: SegmentStore, options: TrainingOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_sheet(_tracker: object, _run_id: str, result: NodeResult, *_: object) -> None:
        if result.node == "badge":
            raise InputError("there is no room for the sheet: make some")

    monkeypatch.setattr("tasks.train._log_sheet", no_sheet)
    tree = tmp_path / "tree.yaml"
    tree.write_text("tree: [[body, badge], ground]\n")
    with pytest.raises(InputError, match="no room for the sheet"):
        run(store, tree, replace(options, epochs=1))

    flow_run, nodes = tracked()
    badge = nodes["badge"]
    assert (badge.info.status, badge.data.tags["status"]) == ("FAILED", "failed")
    assert badge.data.tags["reason"] == "there is no room for the sheet: make some"
    assert task_runs(flow_run, "NotReady") == ["body+badge", "root"]


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server", "home")
def test_what_nobody_waits_for_is_cancelled_not_failed(
    store: SegmentStore, options: TrainingOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.train.stop_signal", lambda: lambda: True)
    tree = tmp_path / "tree.yaml"
    tree.write_text("tree: [body, badge]\n")
    with pytest.raises(CancelledRun, match="was stopped in epoch"):
        run(store, tree, options)
    flow_run, nodes = tracked()
    assert (task_runs(flow_run, "Cancelled"), task_runs(flow_run, "Failed")) == (["badge", "body"], [])
    assert {found.info.status for found in nodes.values()} == {"KILLED"}


def tracked() -> tuple[str, dict[str, Run]]:
    """The flow run of the one training in the home's MLflow, and its nodes' runs."""
    client = MlflowClient(load_settings().tracking_uri)
    runs = client.search_runs([client.get_experiment_by_name("drawings").experiment_id])
    (parent,) = (run for run in runs if "node" not in run.data.tags)
    return parent.data.tags["prefect.flow_run_id"], {run.data.tags["node"]: run for run in runs if run is not parent}


def runs_with_an_artifact_of(node: str) -> set[UUID | None]:
    with get_client(sync_client=True) as api:
        key = ArtifactFilterKey(any_=[artifact_key("node", node)])
        return {found.flow_run_id for found in api.read_artifacts(artifact_filter=ArtifactFilter(key=key))}


def task_runs(flow_run: str, state: str) -> list[str]:
    """Names of a flow run's task runs in a state, without the number that Prefect adds to those that never ran."""
    with get_client(sync_client=True) as api:
        found = api.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run)])),
            task_run_filter=TaskRunFilter(state=TaskRunFilterState(name=TaskRunFilterStateName(any_=[state]))),
        )
    return sorted(re.sub(r"-\w{3}$", "", each.name) for each in found)
