"""What the tests of compose.yaml and of the manifests share."""

import ast
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
import pytest

HOUSE = Path(__file__).parents[2]
PROGRAMS = Path(sys.prefix) / "bin"


def _options(module: ModuleType, command: str) -> set[str]:
    found = getattr(module, command)
    assert isinstance(found, click.Command)
    return {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.fixture(scope="session")
def check_command() -> Callable[[Sequence[str]], None]:
    """Asserts that a container's command is there, with all of its options, as far as that can be told."""
    click_commands = {
        ("dask", "worker"): ("distributed.cli.dask_worker", "main"),
        ("dask", "scheduler"): ("distributed.cli.dask_scheduler", "main"),
        ("mlflow", "server"): ("mlflow.cli", "server"),
        ("uvicorn", "--factory"): ("uvicorn.main", "main"),
    }

    def check(command: Sequence[str]) -> None:
        program = command[0]
        if program == "sh":
            assert command[1] == "-c"
            for part in command[2].split("&&"):
                check(part.split())
            return
        assert (PROGRAMS / program).exists(), program
        if place := click_commands.get((command[0], command[1])):
            module, name = place
            given = {word.partition("=")[0] for word in command[1:] if word.startswith("--")}
            assert given <= _options(import_module(module), name)
        else:
            assert program == "prefect"
        for word in command:
            if ":application" in word:
                module, _, name = word.partition(":")
                # Not imported: Prefect's server and MLflow's do not bear each other in one process.
                tree = ast.parse((HOUSE / f"{module.replace('.', '/')}.py").read_text())
                assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}

    return check
