"""The command `heml train`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_options as shared
from flows.cli_model import decision_choice, training_options, write_json
from flows.terminal import prefect_at_terminal
from infra.settings import load_settings


def train(
    store: Annotated[Path, typer.Option(help="segment store of `heml prepare`", callback=shared.check_store)],
    tree: Annotated[str, typer.Option(help="a preset, a YAML file, or auto")] = "auto",
    out: Annotated[Path | None, typer.Option(help="folder of the report and the model")] = None,
    trunk: shared.Trunk = "resnet18",
    weights: shared.Weights = "none",
    embedding: shared.Embedding = 64,
    loss: shared.Loss = "triplet",
    size: shared.Size = 96,
    fill: shared.Fill = "black",
    framing: shared.Framing = "full",
    absent: shared.Absent = "skip",
    averaging: shared.Averaging = "equal",
    augmentation: shared.Augmentation = "mirror",
    epochs: shared.Epochs = 12,
    combined_epochs: shared.CombinedEpochs = None,
    patience: shared.Patience = 5,
    batch: shared.Batch = 64,
    learning_rate: shared.LearningRate = 3e-4,
    weight_decay: shared.WeightDecay = 1e-4,
    seed: Annotated[int, typer.Option(help="of all that is random")] = 0,
    controls: Annotated[bool, typer.Option(help="train also each leaf's shape alone, and the background")] = False,
    decision: shared.Decision = "auto",
    json_file: shared.JsonFile = None,
) -> None:
    """Train every node of a segment tree, as a Prefect flow."""
    given = dict(locals())
    with prefect_at_terminal():
        from flows.parameters import TrainParameters
        from flows.train_tree import runner_for, train_tree

        parameters = TrainParameters(
            store=store,
            tree=tree,
            out=out,
            options=training_options(given),
            controls=controls,
            decision=decision_choice(decision),
        )
        outcome = train_tree.with_options(task_runner=runner_for(parameters, load_settings()))(parameters)
        typer.echo(f"model: {Path(outcome['out']) / 'model'} and {outcome['model_uri']}")
        write_json(json_file, {name: value for name, value in outcome.items() if name != "out"})
