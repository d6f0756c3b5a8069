"""The command `heml judge`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_options as shared
from flows.cli_model import Model
from flows.terminal import prefect_at_terminal
from infra.settings import load_settings


def judge(
    model: Model,
    store: shared.StoreOfClasses,
    out: Annotated[Path, typer.Option(help="folder of judgement.md and judgement.json")],
    node: Annotated[str, typer.Option(help="whose maps; by default the root's")] = "",
    segment: Annotated[str | None, typer.Option(help="where maps should lie: a class or leaf; else any leaf's")] = None,
    avsl: Annotated[Path | None, typer.Option(help="weights of an AVSL baseline, to judge its maps too")] = None,
    pairs: Annotated[int, typer.Option(help="pairs of validation photos, half of one label")] = 300,
    seed: Annotated[int, typer.Option(help="of all that is random")] = 0,
) -> None:
    """SFAM's maps beside those of other methods: faithfulness, localisation, sanity."""
    shared.check_count("--pairs", pairs, 2)
    shared.check_count("--seed", seed, 0)
    with prefect_at_terminal():
        from flows.judge_maps import judge_maps
        from flows.parameters import JudgeParameters
        from infra.runners import task_runner

        parameters = JudgeParameters(
            model=model, store=store, out=out, node=node, segment=segment, avsl=avsl, pairs=pairs, seed=seed
        )
        judge_maps.with_options(task_runner=task_runner(load_settings()))(parameters)
