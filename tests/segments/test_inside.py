from pathlib import Path

from tasks.segments.inside import is_inside


def test_what_is_below_is_inside(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "there").symlink_to(folder / "more")
    (folder / "away").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(folder)
    for path in (
        folder,
        folder / "x",
        folder / "x/../y",
        folder / "there" / "x",
        tmp_path / "b" / "x",
        folder / "none",
    ):
        assert is_inside(path, folder) and is_inside(path, tmp_path / "b")
    for path in (tmp_path, folder / "..", folder / "away" / "x", folder / "/etc", tmp_path / "ab", folder / "../ab"):
        assert not is_inside(path, folder)


def test_what_is_no_path_is_nowhere(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to(tmp_path / "about")
    (tmp_path / "about").symlink_to(tmp_path / "round")
    for name in ("a\0b", "round"):
        assert not is_inside(tmp_path / name, tmp_path)
