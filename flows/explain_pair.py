"""Explain two photos, or a table of pairs, under a trained tree."""

from typing import Any

from prefect import flow

from flows.parameters import ExplainParameters
from flows.tracked_run import tracked_run
from infra.runners import check_engine, ordinary_resources, task_runner, training_resources
from infra.settings import load_settings
from infra.tracking import fetch_model
from tasks.errors import InputError
from tasks.explain import explain, keep_explanations
from tasks.metric.trained_tree import open_trained_tree


@flow(name="explain-pair", flow_run_name="explain to {parameters.out.name}", task_runner=task_runner(load_settings()))
def explain_pair(parameters: ExplainParameters) -> dict[str, Any]:
    """Explain two photos: distances and maps at every node, as a page, a picture and JSON. One task run a pair.

    Args:
        parameters: the photos, the model, and where the explanation goes.

    Returns:
        What explanation.json holds; of a table, that of every row under "pairs".

    Raises:
        InputError: the model, the table, a photo or a mask cannot be used; what is explained by then is kept.
    """
    settings = load_settings()
    check_engine(settings)
    rows, listed = parameters.rows(), parameters.pairs is not None
    model, out = fetch_model(parameters.model, settings), parameters.out.resolve()
    experiment = open_trained_tree(model).source
    with tracked_run(settings.tracking_uri, experiment, parameters.model_dump(exclude_none=True)) as run_id:
        with training_resources(settings):
            futures = [explain.submit(str(model), settings.torch_device, row, str(out), listed, run_id) for row in rows]
        done, wrong = {}, []
        for row, future in zip(rows, futures, strict=True):
            try:
                done[row] = future.result()
            except InputError as error:
                wrong.append(error)
        if done:
            with ordinary_resources(settings):
                keep_explanations.submit(list(done), str(out), listed, settings.tracking_uri, run_id).result()
        if wrong:
            raise wrong[0]
    results: list[dict[str, Any]] = list(done.values())
    return {"pairs": results} if listed else results[0]
