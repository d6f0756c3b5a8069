"""Names from strangers in what flows write and say."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import console
from flows.parameters import TrainParameters
from flows.train_tree import _out
from infra.settings import load_settings


@pytest.mark.parametrize("source", ["../../x", "/etc/x", "..", "x" * 300, "portraits", "my faces"])
def test_a_run_s_folder_is_below_its_home(source: str, tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home", device="cpu")
    parameters = TrainParameters(store=tmp_path / "store")
    root: Any = SimpleNamespace(key="0123456789abcdef")
    out = _out(parameters, settings, SimpleNamespace(source=source), root)  # type: ignore[arg-type]
    assert out.parent == (tmp_path / "home" / "runs").resolve()
    assert len(out.name.encode()) <= 255
    if source in ("portraits", "my faces"):
        assert out.name == f"{source}-0123456789ab"


def test_what_a_flow_says_commands_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(console, "get_run_logger", lambda: SimpleNamespace(info=logged.append))
    monkeypatch.setattr(console, "console", console.Console(highlight=False, soft_wrap=True, force_terminal=True))
    token = console.at_terminal.set(True)
    try:
        console.say("a \x1b[31mlabel\x07 [bold]\nand a second line")
    finally:
        console.at_terminal.reset(token)
    said = capsys.readouterr().out
    assert "\x07" not in said and "\x1b[31m" not in said
    assert said.splitlines() == [r"a \x1b[31mlabel\x07 [bold]", "and a second line"]
