"""A private file is private from its first byte, whatever was in its place."""

import stat
from pathlib import Path

import pytest

from infra.private_file import write_private


@pytest.mark.parametrize("before", ["nothing", "a file that all may read", "a link to one"])
def test_the_owner_alone_may_read_it(tmp_path: Path, before: str) -> None:
    path, other = tmp_path / "password", tmp_path / "other"
    loose = {"nothing": None, "a file that all may read": path, "a link to one": other}[before]
    if loose is not None:
        loose.write_text("old and longer")
        loose.chmod(0o644)
    if loose == other:
        path.symlink_to(other)
    write_private(path, "secret")
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert path.read_text() == "secret"
    assert not other.exists() or other.read_text() == "old and longer"


def test_who_has_the_old_one_open_reads_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("old")
    with path.open() as held:
        write_private(path, "secret")
        assert held.read() == "old"
