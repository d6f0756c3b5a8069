"""A cluster of processes, photos and a tree to train on it, and what the training finds when nothing breaks."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.mosaics import write_mosaics, write_tree
from tests.faults.native_cluster import NativeCluster
from tests.faults.training_process import EPOCHS, Run

VARYING = {"status", "seconds"}


def found(outcome: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Node to its P@K, intervals, key and checkpoint's digest: what no fault may change."""
    return {
        name: {field: value for field, value in node.items() if field not in VARYING}
        for name, node in outcome["nodes"].items()
    }


@dataclass(frozen=True)
class Study:
    """A training that is done again under each fault, and what it finds without one.

    Attributes:
        cluster: that it is done on.
        store: its photos.
        tree: its YAML file, of 31 nodes.
        expected: what it finds.
    """

    cluster: NativeCluster
    store: Path
    tree: Path
    expected: dict[str, dict[str, Any]]

    def start(self, home: Path | None = None, **changes: object) -> Run:
        """The training, or one with other options."""
        return self.cluster.train(self.store, self.tree, home, **changes)

    def check(self, outcome: dict[str, Any], since: float) -> None:
        """Nothing is lost, nothing was trained twice.

        Args:
            outcome: of the run that ended well, after all that happened.
            since: when the first try of it began, seconds since 1970.
        """
        assert found(outcome) == self.expected
        assert self.cluster.trained(since) == {name: list(range(EPOCHS)) for name in self.expected}


@pytest.fixture(scope="session")
def cluster() -> Iterator[NativeCluster]:
    """A cluster; its folder is one that PostgreSQL's account may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with NativeCluster(folder / "home", folder) as running:
            yield running


@pytest.fixture(scope="session")
def study(cluster: NativeCluster) -> Study:
    """The training, done once without a fault."""
    store, tree = write_mosaics(cluster.folder / "mosaics"), write_tree(cluster.folder / "tiles.yaml")
    began = time.time()
    outcome = cluster.train(store, tree).outcome()
    study = Study(cluster, store, tree, found(outcome))
    assert len(study.expected) == 31
    study.check(outcome, began)
    return study
