"""Temporary paths are beside their target, hidden, and of one writer only; a text is written whole or not at all."""

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.temporary_path import check_replaceable, temporary_path, write_whole


def test_each_writer_has_a_path_of_its_own(tmp_path: Path) -> None:
    paths = {temporary_path(tmp_path / "best.safetensors") for _ in range(100)}
    assert len(paths) == 100
    assert all(path.parent == tmp_path and path.name.startswith(".best.safetensors.") for path in paths)


def test_a_text_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for text in ("a longer text\n", "ä"):
        write_whole(path, text)
        assert path.read_bytes() == text.encode("utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_text_before_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(path: Path, text: str, encoding: str) -> int:
        path.write_bytes(text.encode(encoding)[: len(text) // 2])
        raise OSError(28, "No space left on device")

    path = tmp_path / "result.json"
    path.write_text("before", encoding="utf-8")
    monkeypatch.setattr(Path, "write_text", write_half)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "after")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text(encoding="utf-8") == "before"


def test_what_cannot_be_renamed_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(path, "after")
    assert list(tmp_path.iterdir()) == [path]


def test_only_what_is_marked_as_ours_may_be_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    check_replaceable(folder, "tree.json")
    folder.mkdir()
    check_replaceable(folder, "tree.json")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"model would be replaced, and was not made by heml \(no tree.json\)"):
        check_replaceable(folder, "tree.json")
    (folder / "tree.json").write_text("{}")
    check_replaceable(folder, "tree.json")
