"""Maps judged as a Prefect flow: tables as files, and in the tracking store."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import ValidationError

from flows.judge_maps import judge_maps
from flows.parameters import JudgeParameters
from infra.tracking import open_tracker
from tasks import judge as task_module
from tasks.errors import InputError
from tasks.judging.registry import ATTRIBUTIONS
from tasks.metric.checkpoint import load_checkpoint
from tests.memory_tracker import MemoryTracker


@pytest.mark.server
def test_the_tables_are_files_and_in_the_tracking_store(
    prefect_server: str, grown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"HOME": str(tmp_path / "home"), "ENGINE": "threads", "DEVICE": "cpu", "MLFLOW_URI": "memory:judge"}
    for name, value in settings.items():
        monkeypatch.setenv(f"HEML_{name}", value)
    few = {name: ATTRIBUTIONS[name] for name in ("sfam", "grad-cam-dot", "centred-gaussian")}
    monkeypatch.setattr(task_module, "ATTRIBUTIONS", few)

    def run(**changed: object) -> list[str]:
        given = {"model": str(grown.trained.path), "store": grown.store.path, "out": tmp_path / "out", "pairs": 6}
        parameters = JudgeParameters.model_validate({**given, **changed})
        tables: list[str] = judge_maps.with_options(task_runner=ThreadPoolTaskRunner(max_workers=1))(parameters)
        return tables

    tables = run(segment="badge")
    assert len(tables) == 4
    assert "| SFAM | Grad-CAM | SFAM / Grad-CAM |" in tables[3]
    assert (tmp_path / "out" / "judgement.md").read_text() == "\n".join(tables)
    found = json.loads((tmp_path / "out" / "judgement.json").read_text())
    assert (found["node"], found["segment"], found["pairs"]) == ("root", ["badge"], 6)
    vectors = load_checkpoint(grown.results["root"].embeddings)["validation"].double()
    cosines = torch.nn.functional.cosine_similarity(vectors[:, None], vectors[None], dim=2)
    others = cosines[~torch.eye(len(vectors), dtype=torch.bool)]
    assert found["mean_cosine"] == pytest.approx(others.mean().item(), abs=1e-3)
    shared = vectors.mean(dim=0).norm() / vectors.norm(dim=1).mean()
    assert found["common_share"] == pytest.approx(shared.item(), abs=1e-3)
    assert f"The mean cosine of two photos is {found['mean_cosine']:.3f}" in tables[0]
    assert list(found["methods"]) == list(few)
    assert not found["methods"]["centred-gaussian"]["passes_sanity"]
    assert "Node root on drawings, 6 pairs of validation photos" in tables[0]
    tracker = open_tracker("memory:judge")
    assert isinstance(tracker, MemoryTracker)
    (kept,) = tracker.runs.values()
    assert kept.status == "FINISHED"
    assert kept.params["pairs"] == 6
    assert {"judgement.json", "sfam-against.json", "sanity.json", "judgement.md"} <= set(kept.artifacts)
    assert "| Grad-CAM (dot product) |" in tables[1] and "| Centred Gaussian (floor) |" in tables[1]
    run(node="badge", pairs=4)
    found = json.loads((tmp_path / "out" / "judgement.json").read_text())
    assert (found["node"], found["segment"]) == ("badge", ["badge"])  # what the node shows
    with pytest.raises(InputError, match="AVSL sees whole photos: it is judged at the root, root, not at 'badge'"):
        run(node="badge", avsl=tmp_path / "best.safetensors")
    with pytest.raises(InputError, match="no node 'nose'; it has: body"):
        run(node="nose")
    with pytest.raises(InputError, match="no segment 'nose': one of"):
        run(segment="nose")
    with pytest.raises(InputError, match=r"has no model: .*judge another one"):
        run(node="spot")


def test_a_judgement_needs_two_pairs() -> None:
    with pytest.raises(ValidationError):
        JudgeParameters(model="m", store=Path("s"), out=Path("o"), pairs=1)
