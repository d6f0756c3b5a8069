"""The command line, run in the tests' own process: one of its own would import torch and Prefect for seconds."""

import gc
import os
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from flows import cli
from tests.flows.command_line import Ended, Heml


@pytest.fixture
def heml(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Heml:
    """Runs a command with a home under the test's folder; tests marked `server` report to the session's."""
    if request.node.get_closest_marker("server"):
        request.getfixturevalue("prefect_server")

    def run(*arguments: object, engine: str = "threads") -> Ended:
        command = ["heml", "--home", tmp_path / "home", "--engine", engine, "--device", "cpu", *arguments]
        capsys.readouterr()
        with patch.dict(os.environ), patch.object(sys, "argv", list(map(str, command))):
            try:
                cli.main()
            except SystemExit as ended:
                code = ended.code
            finally:
                gc.unfreeze()  # a command freezes what there is as it ends; the tests go on
        printed = capsys.readouterr()
        return Ended(code=int(code or 0), out=printed.out, err=printed.err)

    return run
