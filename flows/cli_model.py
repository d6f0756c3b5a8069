"""What commands on a trained tree share: opening it, and which decision they go by."""

from typing import TYPE_CHECKING

from infra.settings import load_settings
from tasks.errors import InputError

if TYPE_CHECKING:
    from tasks.metric.decision import DecisionChoice
    from tasks.metric.trained_tree import TrainedTree


def open_model(model: str) -> "TrainedTree":
    """A trained tree by its folder or MLflow address, for this machine's device.

    Raises:
        InputError: there is none.
    """
    from infra.tracking import fetch_model  # noqa: PLC0415 (imports MLflow: seconds)
    from tasks.metric.trained_tree import open_trained_tree  # noqa: PLC0415 (imports torch: seconds)

    settings = load_settings()
    return open_trained_tree(fetch_model(model, settings), settings.torch_device)


def decision_choice(name: str) -> "DecisionChoice":
    """The decision of that name.

    Raises:
        InputError: there is no such decision.
    """
    from tasks.metric.decision import DECISION_CHOICES  # noqa: PLC0415 (imports torch: seconds)

    for choice in DECISION_CHOICES:
        if name == choice:
            return choice
    raise InputError(f"unknown decision {name!r}: one of {', '.join(DECISION_CHOICES)}")
