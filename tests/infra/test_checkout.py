"""The folder that a worker's flow runs start in."""

from pathlib import Path

import pytest

from infra.checkout import enter_checkout
from tasks.errors import InputError


def test_a_folder_of_the_project_is_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "prefect.yaml").write_text("name: heml-pipeline\n")
    assert enter_checkout(str(checkout)) == {"directory": str(checkout)}
    assert Path.cwd() == checkout


@pytest.mark.parametrize("directory", ["", None])
def test_unset_is_said(directory: str | None) -> None:
    with pytest.raises(InputError, match=r"HEML_CHECKOUT is not set where the worker runs: start .* again with"):
        enter_checkout(directory)


def test_a_folder_of_something_else_stays_unentered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prefect.yaml").write_text("")
    for directory in (str(tmp_path / "gone"), str(tmp_path.parent), "."):
        with pytest.raises(InputError, match=r"HEML_CHECKOUT names .*, which is no folder of this project"):
            enter_checkout(directory)
    assert Path.cwd() == tmp_path
