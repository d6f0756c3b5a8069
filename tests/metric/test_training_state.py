import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tasks.metric.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from tasks.metric.evaluation import Precision
from tasks.metric.node_job import EpochReport
from tasks.metric.training_state import Progress, load_state, save_state

FIGURES = Precision(at={1: 0.5, 2: None, 8: None}, intervals={1: (0.25, 0.75), 2: None, 8: None}, n=2)


def report(epoch: int, *, earlier: bool = False) -> EpochReport:
    return EpochReport(
        epoch=epoch,
        loss=float("inf") if epoch == 1 else 0.1 * epoch,
        learning_rate=1e-3,
        images_per_second=100.0 + epoch,
        micro_batch=32,
        held_out=Precision.none(0),
        validation=FIGURES,
        earlier=earlier,
    )


def progress(*, earlier: bool = False) -> Progress:
    reports = [report(epoch, earlier=earlier or epoch == 0) for epoch in range(3)]
    return Progress(next_epoch=3, best_epoch=1, best_score=0.75, seconds=1.5, images=96, reports=reports)


def made(seed: int = 0) -> tuple[nn.Module, torch.optim.AdamW]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def step(model: nn.Module, optimiser: torch.optim.AdamW, seed: int) -> None:
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))
    optimiser.zero_grad()
    model(x).square().sum().backward()
    optimiser.step()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "best.safetensors", {"x": torch.ones(1)})
    return tmp_path / "last.safetensors"


def test_a_resumed_training_goes_on_to_the_bit(path: Path) -> None:
    model, optimiser = made()
    for seed in range(3):
        step(model, optimiser, seed)
    save_state(path, "k", model, optimiser, progress())
    resumed, its_optimiser = made(seed=5)
    assert load_state(path, "k", resumed, its_optimiser) == progress(earlier=True)
    for seed in range(3, 6):
        step(model, optimiser, seed)
        step(resumed, its_optimiser, seed)
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in resumed.state_dict().items())


def assert_fresh(path: Path, key: str = "k") -> None:
    """No state is used: progress is at its start and the model is as it was made."""
    model, optimiser = made(seed=5)
    assert load_state(path, key, model, optimiser) == Progress()
    assert all(torch.equal(made(seed=5)[0].state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    assert not optimiser.state


@pytest.fixture
def saved(path: Path) -> Path:
    model, optimiser = made()
    step(model, optimiser, 0)
    save_state(path, "k", model, optimiser, progress())
    return path


def test_without_a_state_the_training_is_fresh(path: Path) -> None:
    assert_fresh(path)
    assert Progress().next_epoch == 0


def test_the_state_of_another_node_is_not_used(saved: Path) -> None:
    assert_fresh(saved, "another")


def test_without_the_best_epoch_s_weights_the_training_is_fresh(saved: Path) -> None:
    saved.with_name("best.safetensors").unlink()
    assert_fresh(saved)


@pytest.mark.parametrize("damage", ["nothing", "nonsense", "a half", "a header's half"])
def test_a_damaged_state_is_not_used(damage: str, saved: Path) -> None:
    data = saved.read_bytes()
    parts = {"nothing": b"", "nonsense": b"nonsense" * 9, "a half": data[:-20], "a header's half": data[:50]}
    saved.write_bytes(parts[damage])
    assert_fresh(saved)


def test_a_file_that_is_no_state_is_not_used(saved: Path) -> None:
    save_checkpoint(saved, {"x": torch.ones(1)})
    assert_fresh(saved)
    wrong = ('"k"', "3", "null", "[" * 100_000, '{"key": "k", "next_epoch": "3"}', '{"key": "k", "seconds": [1]}')
    for text in ("", "{", "[]", "{}", '{"key": "k", "colour": 1}', *wrong):
        save_checkpoint(saved, {"x": torch.ones(1)}, {"progress": text})
        assert_fresh(saved)


@pytest.mark.parametrize("reports", [None, 3, [], [{}], ["x"], [{"epoch": 0}], "another order", "one too many"])
def test_a_state_with_other_reports_is_not_used(reports: object, saved: Path) -> None:
    fields = json.loads(read_metadata(saved)["progress"])
    whole = fields["reports"]
    fields["reports"] = {"another order": whole[::-1], "one too many": [*whole, whole[-1]]}.get(str(reports), reports)
    save_checkpoint(saved, load_checkpoint(saved), {"progress": json.dumps(fields)})
    assert_fresh(saved)


def test_a_state_that_does_not_fit_the_model_is_not_used(saved: Path) -> None:
    other = nn.Sequential(nn.Linear(3, 5))
    save_state(saved, "k", other, torch.optim.AdamW(other.parameters()), progress())
    assert_fresh(saved)
