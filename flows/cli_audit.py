"""The command `heml audit`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_options as shared
from flows.cli_model import Model
from flows.terminal import prefect_at_terminal
from infra.settings import load_settings


def audit(
    model: Model,
    store: Annotated[
        Path,
        typer.Option(
            help="the store that it was trained on, or one with the same classes", callback=shared.check_store
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder of bias.html, bias.json and bias.md")],
    group: Annotated[str | None, typer.Option(help="group, the store's column, or a segment: has it or not")] = None,
    controls: Annotated[bool, typer.Option(help="also what each leaf's shape, and the background, say alone")] = True,
    photos: Annotated[int, typer.Option(help="validation photos that each segment of another is put into")] = 40,
    fail_above: Annotated[float | None, typer.Option(help="exit code 1 if a shortcut's drop is larger, 0 to 1")] = None,
) -> None:
    """What the labels lean on: parts that tell the label of training photos, and less of that of others."""
    shared.check_count("--photos", photos, 2)
    if fail_above is not None:
        shared.check_share("--fail-above", fail_above)
    with prefect_at_terminal():
        from flows.audit_bias import audit_bias, largest_shortcut
        from flows.parameters import AuditParameters
        from infra.runners import task_runner

        parameters = AuditParameters(model=model, store=store, out=out, group=group, controls=controls, photos=photos)
        report = audit_bias.with_options(task_runner=task_runner(load_settings()))(parameters)
    if fail_above is not None and largest_shortcut(report) > fail_above:
        typer.echo(f"a shortcut's drop is above {fail_above:g}", err=True)
        raise typer.Exit(1)
