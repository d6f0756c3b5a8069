"""The command `heml`.

Exit code 0: done; 1: a server of ours failed, or `--fail-above` says so; 2: wrong input, said in one line.

Commands import what they need when they run: `heml --help` must not wait for torch.
"""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from flows.cli_audit import audit
from flows.cli_bench import bench
from flows.cli_deflate import deflate
from flows.cli_demo import demo
from flows.cli_evaluate import evaluate
from flows.cli_explain import explain
from flows.cli_export import export
from flows.cli_judge import judge
from flows.cli_prepare import prepare
from flows.cli_recombine import recombine
from flows.cli_retrieve import retrieve
from flows.cli_search import search
from flows.cli_study import reproduce
from flows.cli_train import train
from flows.cli_up import up
from infra.processes import ServerError
from infra.proxies import ask_loopback_directly
from tasks.errors import InputError

app = typer.Typer(
    name="heml",
    help="Why two images are alike, part by part.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
INTERRUPTED = 130  # what Typer ends with after Ctrl-C
# Each with an example of its options, in the order of the help.
COMMANDS: dict[Callable[..., None], str] = {
    prepare: "--portraits 400 --out portraits",
    train: "--store portraits --tree demo --trunk small --size 64",
    audit: "--model run/model --store portraits --out bias",
    bench: "--out bench",
    deflate: "--model run/model --store portraits --group group --out deflated",
    judge: "--model run/model --store portraits --segment hair --out judgement",
    recombine: "--store portraits --plan bias/bias.json --out recombined",
    reproduce: "--study celeba --store celeba --trunk small --size 64",
    evaluate: "--model run/model --store portraits",
    retrieve: "--model run/model --store birds --out answers",
    explain: "a.jpg b.jpg --model run/model --out explanation",
    search: "a.jpg --model run/model --store portraits --node hair --out hair",
    export: "--store portraits --node hair --out hair --tree demo",
    up: "--profile cluster",
    demo: "",
}
for command, example in COMMANDS.items():
    app.command(epilog=f"Example: heml {command.__name__} {example}".rstrip())(command)


def main() -> None:
    """Run the command line; wrong input becomes one line and exit code 2."""
    try:
        app()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            sys.stderr.write("heml: stopped; what was made is kept, and the same command goes on with it\n")
        raise
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
    ask_loopback_directly()
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
