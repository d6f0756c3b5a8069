from pathlib import Path

import pytest

from tasks import code_digest as module


def digest_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(module, "TASKS", folder)
    module.code_digest.cache_clear()
    try:
        return module.code_digest()
    finally:
        module.code_digest.cache_clear()


def test_code_and_templates_count_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("x = 1")
    first = digest_of(tmp_path, monkeypatch)
    (tmp_path / "room" / "a.pyc").write_bytes(b"compiled")
    assert digest_of(tmp_path, monkeypatch) == first
    (tmp_path / "room" / "page.html").write_text("<p>")
    second = digest_of(tmp_path, monkeypatch)
    (tmp_path / "room" / "a.py").write_text("x = 2")
    assert len({first, second, digest_of(tmp_path, monkeypatch)}) == 3
