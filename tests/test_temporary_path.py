"""Temporary paths are beside their target, hidden, and taken by one writer only."""

from pathlib import Path

from tasks.temporary_path import temporary_path


def test_each_writer_has_a_path_of_its_own(tmp_path: Path) -> None:
    paths = {temporary_path(tmp_path / "best.safetensors") for _ in range(100)}
    assert len(paths) == 100
    assert all(path.parent == tmp_path and path.name.startswith(".best.safetensors.") for path in paths)
