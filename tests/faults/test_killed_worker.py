"""A worker that is killed in the middle of an epoch."""

import time

import pytest
import yaml

from tests.faults.conftest import Study, found
from tests.faults.mosaics import TILES
from tests.faults.training_process import until

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1200)]

EPOCHS = 60


def test_a_training_goes_on_from_its_last_epoch(study: Study) -> None:
    cluster, tree = study.cluster, study.cluster.folder / "two-tiles.yaml"
    tree.write_text(yaml.safe_dump({"tree": list(TILES[:2])}), encoding="utf-8")
    options = {"epochs": EPOCHS, "patience": EPOCHS}
    cluster.forget()
    expected = found(cluster.train(study.store, tree, **options).outcome())
    cluster.forget()
    began = time.time()
    run = cluster.train(study.store, tree, **options)
    for node in range(3):
        until(
            lambda: run.finished_nodes() == node and run.under_way(),  # noqa: B023 (called at once)
            300,
            f"node {node} is being trained\n{run.said}",
        )
        time.sleep(1)  # of about eight
        assert run.finished_nodes() == node
        cluster.kill("CUDA worker")
    assert found(run.outcome()) == expected
    assert cluster.trained(began) == {name: list(range(EPOCHS)) for name in expected}
