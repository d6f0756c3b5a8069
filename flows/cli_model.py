"""What commands on a trained tree share: which one it is, which decision it goes by, and results as JSON."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.settings import load_settings
from infra.tracking import fetch_model
from tasks.errors import InputError

if TYPE_CHECKING:
    from tasks.metric.decision import DecisionChoice
    from tasks.metric.options import TrainingOptions
    from tasks.metric.trained_tree import TrainedTree


def _check_model(model: str) -> str:
    """The same; a folder that is not there is said here, and not after the seconds that Prefect and torch take."""
    if ":/" not in model:
        fetch_model(model, load_settings())
    return model


Model = Annotated[str, typer.Option(help="folder of a trained tree, or an MLflow address", callback=_check_model)]


def open_model(model: str, decision: str = "auto") -> "TrainedTree":
    """A trained tree by its folder or MLflow address, for this machine's device.

    Args:
        model: folder or address.
        decision: that it is to go by; "auto" for its own.

    Raises:
        InputError: there is no such tree or decision.
    """
    from tasks.metric.trained_tree import open_trained_tree

    choice, settings = decision_choice(decision), load_settings()
    trained = open_trained_tree(fetch_model(model, settings), settings.torch_device)
    return trained if choice == "auto" else replace(trained, decision=choice)


def decision_choice(name: str) -> "DecisionChoice":
    """The decision of that name.

    Raises:
        InputError: there is no such decision.
    """
    from tasks.metric.decision import DECISION_CHOICES

    for choice in DECISION_CHOICES:
        if name == choice:
            return choice
    raise InputError(f"unknown decision {name!r}: one of {', '.join(DECISION_CHOICES)}")


def training_options(given: Mapping[str, Any]) -> "TrainingOptions":
    """How nodes are trained, from a command's arguments: those of them that are such options, by their names.

    Raises:
        InputError: a value cannot be.
    """
    from tasks.metric.options import TrainingOptions

    return TrainingOptions(
        **{field.name: given[field.name] for field in fields(TrainingOptions) if field.name in given}
    )


def write_json(path: Path | None, value: dict[str, Any]) -> None:
    """Write a result as JSON, where a file is named."""
    if path is not None:
        path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
