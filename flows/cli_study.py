"""The command `heml reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_options as shared
from flows.cli_model import training_options
from flows.terminal import prefect_at_terminal
from infra.settings import load_settings


def reproduce(
    study: Annotated[str, typer.Option(help="celeba, human-parsing or sceneparse150")],
    store: Annotated[
        Path | None,
        typer.Option(help="a prepared store; else the study's data from the hub", callback=shared.check_store),
    ] = None,
    tree: Annotated[str | None, typer.Option(help="a preset or YAML file, for a store with other classes")] = None,
    rows: Annotated[str, typer.Option(help="rows or groups, comma between: table-1, leak, framing")] = "table-1",
    seeds: Annotated[int, typer.Option(help="trainings of each row")] = 1,
    costs: Annotated[bool, typer.Option(help="measure time and memory of a step of each method")] = True,
    out: Annotated[Path | None, typer.Option(help="folder of rows and tables")] = None,
    trunk: shared.Trunk = "resnet18",
    weights: shared.Weights = "none",
    size: shared.Size = 96,
    framing: shared.Framing = "full",
    averaging: shared.Averaging = "equal",
    augmentation: shared.Augmentation = "mirror",
    epochs: shared.Epochs = 12,
    combined_epochs: shared.CombinedEpochs = None,
    patience: shared.Patience = 5,
    batch: shared.Batch = 64,
    learning_rate: shared.LearningRate = 3e-4,
) -> None:
    """The paper's tables, each row trained and set beside the paper's figures. It resumes."""
    given = dict(locals())
    shared.check_count("--seeds", seeds, 1)
    with prefect_at_terminal():
        from flows.parameters import ReproduceParameters
        from flows.reproduce import reproduce as run
        from infra.runners import task_runner

        parameters = ReproduceParameters(
            study=study,
            store=store,
            tree=tree,
            rows=tuple(name.strip() for name in rows.split(",")),
            seeds=seeds,
            costs=costs,
            options=training_options(given),
            out=out,
        )
        run.with_options(task_runner=task_runner(load_settings()))(parameters)
