"""The command `heml evaluate`."""

import typer

from flows import cli_options as shared
from flows.cli_model import Model, open_model, write_json
from infra.settings import load_settings


def evaluate(
    model: Model,
    store: shared.StoreOfClasses,
    decision: shared.Decision = "auto",
    json_file: shared.JsonFile = None,
) -> None:
    """P@K at every node of a trained tree, on a store's validation split."""
    typer.echo(f"opening {model}")
    from flows.node_fields import node_fields, precision_line
    from tasks.metric.evaluate_tree import evaluate_tree
    from tasks.segments.store import open_store

    trained = open_model(model, decision)
    nodes = {}
    for name, figures in evaluate_tree(trained, open_store(store), load_settings().decoded):
        typer.echo(f"{name:>16}  {precision_line(figures.own)}")
        if figures.composed:
            typer.echo(f"{'composed':>16}  {precision_line(figures.composed)}")
        kept = trained.nodes[name]
        nodes[name] = {
            **node_fields(trained.tree[name], figures.own, figures.composed),
            "status": kept.status,
            "checkpoint_sha256": kept.sha256,
        }
    by_decision = figures.composed if trained.decision == "composed" and figures.composed else figures.own
    typer.echo(f"{trained.tree.root.name} by the {trained.decision} decision: {precision_line(by_decision)}")
    write_json(json_file, {"root": trained.tree.root.name, "decision": trained.decision, "nodes": nodes})
