"""Explain two photos under a trained tree."""

from typing import Any

from prefect import flow

from flows.parameters import ExplainParameters
from infra.runners import check_engine, task_runner, training_resources
from infra.settings import load_settings
from infra.tracking import fetch_model
from tasks.explain import explain


@flow(name="explain-pair", task_runner=task_runner(load_settings()))
def explain_pair(parameters: ExplainParameters) -> dict[str, Any]:
    """Explain two photos: distances and maps at every node, as a page, a picture and JSON.

    Args:
        parameters: the photos, the model, and where the explanation goes.

    Returns:
        What explanation.json holds.

    Raises:
        InputError: the model, a photo or a mask cannot be used.
    """
    settings = load_settings()
    check_engine(settings)
    model = fetch_model(parameters.model, settings)
    photos = (str(parameters.photo_a.resolve()), str(parameters.photo_b.resolve()))
    mask_a, mask_b = (str(mask.resolve()) if mask else None for mask in (parameters.mask_a, parameters.mask_b))
    with training_resources(settings):
        future = explain.submit(
            str(model), settings.torch_device, photos, (mask_a, mask_b), str(parameters.out.resolve())
        )
    result: dict[str, Any] = future.result()
    return result
