from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.explanation.pair_place import PairPlace
from tasks.explanation.pair_table import read_pair_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table's folder with two photos, one in a folder below, and a mask."""
    (tmp_path / "more").mkdir()
    for name in ("a.png", "more/b, c.png", "m.png"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "pairs.csv").write_text(text, encoding=encoding)
    return folder / "pairs.csv"


def test_rows_are_read_in_order_with_paths_from_the_table_s_folder(folder: Path) -> None:
    text = 'label_a,photo_b,photo_a,mask_a\n man ,"more/b, c.png",a.png,m.png\n\n,a.png,a.png,\n'
    # As spreadsheets write it: a mark of the encoding first.
    first, second = read_pair_table(table(folder, text, "utf-8-sig"))
    assert first.photos == (folder / "a.png", folder / "more" / "b, c.png")
    assert (first.masks, first.labels) == ((folder / "m.png", None), ("man", None))
    assert (second.photos, second.masks) == ((folder / "a.png", folder / "a.png"), (None, None))
    assert second.labels == (None, None)
    assert (first.where, second.where) == ("pairs.csv, line 2", "pairs.csv, line 4")
    assert (first.place, second.place) == (PairPlace(number=1, count=2), PairPlace(number=2, count=2))


def test_a_path_may_be_absolute(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x.png"
    elsewhere.write_bytes(b"")
    (row,) = read_pair_table(table(folder, f"photo_a,photo_b\n{elsewhere},a.png\n"))
    assert row.photos == (elsewhere, folder / "a.png")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("photo_a,photo_b\na.png,gone.png\n", ("pairs.csv, line 2", "gone.png", "photo_b")),
        ("photo_a,photo_b,mask_b\na.png,a.png,m.png\na.png,a.png,no.png\n", ("line 3", "no.png", "mask_b")),
        ("photo_a,photo_b\na.png,more\n", ("line 2", "more")),  # a folder
        ("photo_a,photo_b\na.png, \n", ("line 2", "photo_b is empty")),
        ("photo_a,photo_b\na.png\n", ("line 2", "photo_b is empty")),
        ("photo_a,photo_b\na.png,more/b, c.png\n", ("line 2", "more cells", "quotes")),
        ("photo_a,photob\na.png,a.png\n", ("no column 'photo_b'", "mask_a")),
        ("photo_a,photo_b,maskb\na.png,a.png,\n", ("unknown column 'maskb'", "mask_b")),
        ("photo_a,photo_b\n", ("no rows",)),
        ("", ("no column 'photo_a'",)),
        ('photo_a,photo_b\n"a.png,a.png\n', ("cannot be read", "CSV")),
    ],
)
def test_what_is_wrong_is_said_with_its_line(folder: Path, text: str, says: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as error:
        read_pair_table(table(folder, text))
    assert all(word in str(error.value) for word in says), error.value


def test_a_table_that_cannot_be_read_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        read_pair_table(folder / "no.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_pair_table(folder)
    with pytest.raises(InputError, match="UTF-8"):
        read_pair_table(table(folder, "photo_a,photo_b\ncafé.png,a.png\n", "latin-1"))


def test_folders_are_numbered_so_that_they_sort() -> None:
    assert [PairPlace(number=n, count=12).folder for n in (1, 12)] == ["001", "012"]
    long = [PairPlace(number=n, count=1200) for n in range(1, 1201)]
    assert sorted(place.folder for place in long) == [place.folder for place in long]
    assert long[8].next == "../0010/index.html" and long[9].previous == "../0009/index.html"
    assert long[0].previous is None and long[-1].next is None
