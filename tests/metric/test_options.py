from dataclasses import FrozenInstanceError, asdict

import pytest

from tasks.errors import InputError
from tasks.metric.model import ModelSpec
from tasks.metric.options import TrainingOptions


def test_the_defaults_are_our_readings_of_the_paper() -> None:
    options = TrainingOptions()
    assert (options.trunk, options.embedding, options.loss, options.batch) == ("resnet18", 64, "triplet", 64)
    assert (options.averaging, options.absent, options.fill) == ("equal", "skip", "black")
    assert options.weights == "none"


def test_the_model_s_spec_is_part_of_the_options() -> None:
    options = TrainingOptions(trunk="small", weights="w.pth", embedding=7, seed=5)
    assert options.model == ModelSpec(trunk="small", weights="w.pth", embedding=7, seed=5)


def test_options_are_plain_values_that_cannot_be_changed() -> None:
    options = TrainingOptions(epochs=3)
    assert TrainingOptions(**asdict(options)) == options
    with pytest.raises(FrozenInstanceError):
        options.epochs = 4  # type: ignore[misc]


def test_a_combined_node_has_its_own_epochs_where_they_are_given() -> None:
    alike, fewer = TrainingOptions(epochs=5), TrainingOptions(epochs=5, combined_epochs=2)
    assert [options.epochs_of(combined=combined) for options in (alike, fewer) for combined in (False, True)] == [
        5, 5, 5, 2
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loss": "tripled"}, "unknown loss 'tripled': one of triplet, angular"),
        ({"fill": "white"}, "unknown fill 'white': one of black, mean, blur, background"),
        ({"framing": "zoom"}, "unknown framing 'zoom': one of full, crop"),
        ({"absent": "keep"}, "unknown absent 'keep': one of skip, blank"),
        ({"averaging": "best"}, "unknown averaging 'best': one of equal, area, precision"),
        ({"augmentation": "blur"}, "unknown augmentation 'blur': one of none, mirror, full"),
        ({"device": "tpu"}, "unknown device 'tpu': one of cpu, cuda"),
        ({"embedding": 1}, "embedding needs to be at least 2; got 1"),
        ({"size": 15}, "size needs to be at least 16; got 15"),
        ({"epochs": 0}, "epochs needs to be at least 1; got 0"),
        ({"combined_epochs": 0}, "combined_epochs needs to be at least 1; got 0"),
        ({"patience": 0}, "patience needs to be at least 1; got 0"),
        ({"batch": 3}, "batch needs to be at least 4; got 3"),
        ({"threads": 0}, "threads needs to be at least 1; got 0"),
        ({"seed": -1}, "seed needs to be at least 0; got -1"),
        (
            {"learning_rate": 0.0, "weight_decay": 0.5},
            "needs to be > 0 and weight_decay >= 0; got 0.0, 0.5",
        ),
        ({"learning_rate": float("nan")}, "learning_rate needs to be > 0"),
        ({"learning_rate": 0.5, "weight_decay": -0.1}, "weight_decay >= 0; got 0.5, -0.1"),
        ({"weight_decay": float("nan")}, "weight_decay >= 0"),
    ],
)
def test_what_no_training_can_use_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainingOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "least", [{"embedding": 2}, {"size": 16}, {"epochs": 1}, {"batch": 4}, {"seed": 0}, {"weight_decay": 0.0}]
)
def test_the_least_values_are_taken(least: dict[str, object]) -> None:
    TrainingOptions(**least)  # type: ignore[arg-type]
