import os
from pathlib import Path

import pytest

from flows.own_process import HEML, run_python
from tasks.errors import InputError


def test_a_process_has_its_own_home_and_none_of_our_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEML_ENGINE", "address")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    ours = "{k: v for k, v in os.environ.items() if k.startswith(('HEML_', 'PREFECT_API'))}"
    code = f"import os; print({ours}, os.getcwd())"
    printed = run_python(["-c", code], tmp_path, {"WORKERS": "3"})
    assert printed.strip() == f"{ {'HEML_HOME': str(tmp_path), 'HEML_WORKERS': '3'} } {os.path.realpath(tmp_path)}"


def test_a_failure_is_told_by_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="evaluate --model gone --store gone ended with 2: heml: no trained tree at"):
        run_python([*HEML, "evaluate", "--model", "gone", "--store", "gone"], tmp_path)
    with pytest.raises(InputError, match="ended with 3: it said nothing"):
        run_python(["-c", "raise SystemExit(3)"], tmp_path)
