import os
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.segments import source_files as module
from tasks.segments.source_files import read_source_file


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert read_source_file(tmp_path / "a") == read_source_file(tmp_path / "link") == b"abc"


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PICTURE_BYTES", 3)
    (tmp_path / "a").write_bytes(b"abc")
    assert read_source_file(tmp_path / "a") == b"abc"
    (tmp_path / "a").write_bytes(b"abcd")
    with pytest.raises(InputError, match=r"a has more than 3 bytes: make it smaller"):
        read_source_file(tmp_path / "a")


def test_what_is_no_plain_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(InputError, match=r"cannot be read \(no plain file\)"):
            read_source_file(path)
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        read_source_file(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"cannot be read \(.*null"):
        read_source_file(tmp_path / "a\0b")
