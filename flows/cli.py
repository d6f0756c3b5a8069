"""The command `heml`.

Exit code 0: done; 1: a server of ours failed, or `--fail-above` says so; 2: wrong input, said in one line.

Commands import what they need when they run: `heml --help` must not wait for torch.
"""

import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import cli_options as shared
from flows.cli_audit import audit
from flows.cli_bench import bench
from flows.cli_deflate import deflate
from flows.cli_judge import judge
from flows.cli_model import decision_choice, open_model
from flows.cli_prepare import prepare
from flows.cli_recombine import recombine
from flows.cli_retrieve import retrieve
from flows.cli_search import search
from flows.cli_study import reproduce
from flows.cli_up import up
from infra.processes import ServerError
from tasks.errors import InputError

app = typer.Typer(
    name="heml",
    help="Why two images are alike, part by part.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; wrong input becomes one line and exit code 2."""
    try:
        app()
    except InputError as error:
        fail(str(error))
    except ServerError as error:
        sys.stderr.write(f"heml: {error}\n")
        sys.exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        fail(f"{error.strerror}: {error.filename or 'no file named'}; what was finished is kept")
    finally:
        gc.freeze()  # at its end Python would go through millions of objects for some that nobody waits for: 3 s


def fail(message: str) -> None:
    """Say one line on standard error and end with code 2."""
    sys.stderr.write(f"heml: {' '.join(message.split())}\n")
    sys.exit(2)


@app.callback()
def _settings(
    home: Annotated[Path | None, typer.Option(help="folder of servers, checkpoints and runs (default .heml)")] = None,
    engine: Annotated[str | None, typer.Option(help="threads, local (Dask on this machine), address, cluster")] = None,
    dask_address: Annotated[str | None, typer.Option(help="of a running Dask scheduler, for --engine address")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda")] = None,
    workers: Annotated[int | None, typer.Option(help="tasks at once on this machine")] = None,
    threads: Annotated[int | None, typer.Option(help="torch threads a task")] = None,
) -> None:
    # The flows read the environment, here, in a Dask worker and in a deployment alike.
    given = {
        "HOME": home and home.absolute(),
        "ENGINE": engine,
        "DASK_ADDRESS": dask_address,
        "DEVICE": device,
        "WORKERS": workers,
        "THREADS": threads,
    }
    os.environ.update({f"HEML_{name}": str(value) for name, value in given.items() if value is not None})
    # People read the flow's own lines; all else goes to Prefect's server, where it can be searched.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


app.command(epilog="Example: heml prepare --portraits 400 --out portraits")(prepare)


@app.command(epilog="Example: heml train --store portraits --tree demo --trunk small --size 64")
def train(
    store: Annotated[Path, typer.Option(help="segment store of `heml prepare`")],
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
    with _prefect():
        from flows.parameters import TrainParameters
        from flows.train_tree import runner_for, train_tree
        from infra.settings import load_settings
        from tasks.metric.options import TrainingOptions

        given: dict[str, Any] = {  # the options check what they are given
            "trunk": trunk,
            "weights": weights,
            "embedding": embedding,
            "loss": loss,
            "size": size,
            "fill": fill,
            "framing": framing,
            "absent": absent,
            "averaging": averaging,
            "augmentation": augmentation,
            "epochs": epochs,
            "combined_epochs": combined_epochs,
            "patience": patience,
            "batch": batch,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "seed": seed,
        }
        options = TrainingOptions(**given)
        parameters = TrainParameters(
            store=store, tree=tree, out=out, options=options, controls=controls, decision=decision_choice(decision)
        )
        outcome = train_tree.with_options(task_runner=runner_for(parameters, load_settings()))(parameters)
        typer.echo(f"model: {Path(outcome['out']) / 'model'} and {outcome['model_uri']}")
        _write_json(json_file, {name: value for name, value in outcome.items() if name != "out"})


app.command(epilog="Example: heml audit --model run/model --store portraits --out bias")(audit)

app.command(epilog="Example: heml bench --out bench")(bench)

app.command(epilog="Example: heml deflate --model run/model --store portraits --group group --out deflated")(deflate)

app.command(epilog="Example: heml judge --model run/model --store portraits --segment hair --out judgement")(judge)

app.command(epilog="Example: heml recombine --store portraits --plan bias/bias.json --out recombined")(recombine)

app.command(epilog="Example: heml reproduce --study celeba --store celeba --trunk small --size 64")(reproduce)


@app.command(epilog="Example: heml evaluate --model run/model --store portraits")
def evaluate(
    model: Annotated[str, typer.Option(help="folder of a trained tree, or an MLflow address")],
    store: Annotated[Path, typer.Option(help="any segment store with the same classes")],
    decision: shared.Decision = "auto",
    json_file: shared.JsonFile = None,
) -> None:
    """P@K at every node of a trained tree, on a store's validation split."""
    from flows.node_fields import node_fields, precision_line
    from infra.settings import load_settings
    from tasks.metric.evaluate_tree import evaluate_tree
    from tasks.segments.store import open_store

    settings = load_settings()
    choice, trained = decision_choice(decision), open_model(model)
    used = trained.decision if choice == "auto" else choice
    nodes = {}
    for name, figures in evaluate_tree(trained, open_store(store), settings.decoded):
        typer.echo(f"{name:>16}  {precision_line(figures.own)}")
        if figures.composed:
            typer.echo(f"{'composed':>16}  {precision_line(figures.composed)}")
        kept = trained.nodes[name]
        nodes[name] = {
            **node_fields(trained.tree[name], figures.own, figures.composed),
            "status": kept.status,
            "checkpoint_sha256": kept.sha256,
        }
    by_decision = figures.composed if used == "composed" and figures.composed else figures.own
    typer.echo(f"{trained.tree.root.name} by the {used} decision: {precision_line(by_decision)}")
    _write_json(json_file, {"root": trained.tree.root.name, "decision": used, "nodes": nodes})


app.command(epilog="Example: heml retrieve --model run/model --store birds --out answers")(retrieve)


@app.command(epilog="Example: heml explain a.jpg b.jpg --model run/model --out explanation")
def explain(
    model: Annotated[str, typer.Option(help="folder of a trained tree, or an MLflow address")],
    out: Annotated[Path, typer.Option(help="folder of index.html, tree.png and explanation.json")],
    photo_a: Annotated[Path | None, typer.Argument(help="a photo")] = None,
    photo_b: Annotated[Path | None, typer.Argument(help="another one")] = None,
    pairs: Annotated[Path | None, typer.Option(help="instead: a CSV of photo_a, photo_b, mask_a, mask_b")] = None,
    mask_a: Annotated[Path | None, typer.Option(help="its mask; else the model's segmenter makes it")] = None,
    mask_b: Annotated[Path | None, typer.Option(help="its mask; else the model's segmenter makes it")] = None,
    decision: shared.Decision = "auto",
) -> None:
    """Why two photos are alike: the tree of distances with a map at every node. With --pairs, a page for each pair."""
    from tasks.explanation.explain_pairs import explain_pairs
    from tasks.explanation.explain_photos import explain_photos
    from tasks.explanation.pair_table import read_pair_table
    from tasks.explanation.wording import verdict

    if (pairs is None and photo_b is None) or (pairs is not None and (photo_a or mask_a or mask_b)):
        raise InputError("explain takes either two photos, with their masks, or --pairs FILE.csv with one pair a row")
    rows = read_pair_table(pairs) if pairs else ()
    choice, trained = decision_choice(decision), open_model(model)
    if choice != "auto":
        trained = replace(trained, decision=choice)
    if photo_a and photo_b:
        typer.echo(verdict(explain_photos(trained, (photo_a, photo_b), (mask_a, mask_b), out)))
    for row, explanation in zip(rows, explain_pairs(trained, rows, out), strict=True):
        typer.echo(f"{row.place.folder}  {verdict(explanation)}")
    typer.echo(f"page: {out / 'index.html'}")


app.command(epilog="Example: heml search a.jpg --model run/model --store portraits --node hair --out hair")(search)


@app.command(epilog="Example: heml export --store portraits --node hair --out hair --tree demo")
def export(
    store: Annotated[Path, typer.Option(help="segment store")],
    node: Annotated[str, typer.Option(help="name of a node")],
    out: Annotated[Path, typer.Option(help="folder for the pictures")],
    tree: Annotated[str, typer.Option(help="a preset, a YAML file, or auto")] = "auto",
    fill: Annotated[str, typer.Option(help="of what is not in the node")] = "black",
    framing: Annotated[str, typer.Option(help="full: the whole photo; crop: a square about the part")] = "full",
    limit: Annotated[int | None, typer.Option(help="so many of each split only")] = None,
) -> None:
    """Write what a node sees of each photo, in full size."""
    from flows.trees import resolve_tree
    from tasks.segments.export import export_node
    from tasks.segments.store import open_store

    opened = open_store(store)
    written = export_node(opened, resolve_tree(tree, opened)[node], fill, out, limit, framing)
    typer.echo(f"{written} pictures of {node} in {out}")


app.command(epilog="Example: heml up --profile cluster")(up)


@app.command(epilog="Example: heml demo")
def demo(
    keep: Annotated[bool, typer.Option(help="leave both servers running afterwards, until Ctrl-C")] = False,
) -> None:
    """The whole job on synthetic portraits: segment, train, explain."""
    if not keep:
        with _prefect():
            from flows.demo import run_demo

            run_demo()
            typer.echo("servers    `heml up` starts Prefect's UI and MLflow's and says where they are")
        return
    from infra.services import up as services_up
    from infra.settings import load_settings

    with services_up(load_settings()) as services, _prefect():
        from flows.demo import run_demo

        run_demo()
        typer.echo(f"Prefect    {services.prefect_ui}\nMLflow     {services.mlflow}\nCtrl-C stops both.")
        services.wait()


@contextmanager
def _prefect() -> Iterator[None]:
    """A Prefect server for the flow's time: the one that runs, or one of our own."""
    from flows.terminal import prefect_at_terminal

    with prefect_at_terminal():
        yield


def _write_json(path: Path | None, value: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
