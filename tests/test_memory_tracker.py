"""The double keeps what it is given, and can be called as a tracker can."""

import inspect
from pathlib import Path

from infra.tracking import Tracker, open_tracker
from tests.memory_tracker import MemoryTracker


def test_double_has_the_methods_of_a_tracker() -> None:
    methods = {name: method for name, method in vars(Tracker).items() if inspect.isfunction(method) and name[0] != "_"}
    assert len(methods) > 10
    for name, method in methods.items():
        assert inspect.signature(getattr(MemoryTracker, name)) == inspect.signature(method), name


def test_double_keeps_what_it_is_given() -> None:
    tracker = open_tracker("memory:one")
    assert isinstance(tracker, MemoryTracker)
    assert open_tracker("memory:one") is tracker
    assert open_tracker("memory:two") is not tracker
    tracker.prepare("portraits")
    parent = tracker.start_run("portraits", "flow")
    child = tracker.start_run("portraits", "hair", parent_run_id=parent, params={"size": 64}, tags={"node": "hair"})
    tracker.log_metrics(child, {"loss": 0.5}, step=3)
    tracker.log_metrics(child, {"loss": 0.25}, step=3, unless_there=True)
    tracker.log_metrics(child, {"loss": 0.25}, step=4, unless_there=True)
    tracker.log_artifact(child, "/x/sheet.png", "sfam")
    tracker.log_dict(child, {"a": 1}, "nodes.json")
    tracker.log_table(child, {"P@1": ["96.0"]}, "table-1.json")
    tracker.log_dataset_input(child, "portraits", "abc", "/store")
    tracker.set_tags(child, {"status": "trained"})
    tracker.end_run(child, "FINISHED")
    run = tracker.runs[child]
    assert (run.parent_run_id, run.params, run.status) == (parent, {"size": 64}, "FINISHED")
    assert run.tags == {"node": "hair", "status": "trained"}
    assert run.metrics == [(3, {"loss": 0.5}), (4, {"loss": 0.25})]
    assert run.artifacts == ["sfam/sheet.png", "nodes.json", "table-1.json"]
    assert run.datasets == [("portraits", "abc", "/store")]
    assert tracker.runs[parent].status == "RUNNING"


def test_double_numbers_versions() -> None:
    tracker: Tracker = MemoryTracker()
    first, again, other = (
        tracker.register_model("run-0", "same", Path("code.py"), {}, 0.5, digest=digest) for digest in ("a", "a", "b")
    )
    assert (first, again, other) == ("models:/same/1", "models:/same/1", "models:/same/2")
    made = [tracker.register_model("run-0", "tree", Path("code.py"), {"tree": "/x"}, score) for score in (0.5, None)]
    assert made == ["models:/tree/1", "models:/tree/2"]
    assert tracker.missing == 0
