"""CSV files of labels, and of pairs of photos, from strangers: what they say, or an error of ours."""

import csv
import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.explanation.pair_table import read_pair_table
from tasks.printable import printable
from tasks.segments.folder_source import PHOTO_SUFFIXES, FolderSource
from tasks.segments.names import LONGEST_NAME
from tests.segments.mutations import EXAMPLES, damaged, every_input

IDS = ("a", "b b", "ü,1", 'd"q"', "e", "..", "g'", "é.x")
PLAIN = st.text("abcäß ,;\"'|<&$[\N{CJK UNIFIED IDEOGRAPH-9854}", min_size=1, max_size=8).filter(str.strip)
WILD = st.one_of(
    PLAIN,
    st.text(max_size=8),
    st.sampled_from(["", "\0", "a\0b", "\x1b[2J", "a\nb", "\r", "=1+1", "x" * (LONGEST_NAME + 1), "y" * 140_000, '"']),
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")
HEADS = (
    ["id", "label"],
    ["label", "id"],
    ["id", "more", "label"],
    ["id"],
    ["id", "label", "label"],
    ["ID", "label"],
    [],
)


def written(head: list[str], rows: list[dict[str, str]], *, end: str = "\r\n", quoting: int = csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(head)
    writer.writerows([[row.get(column, "z") for column in head] for row in rows])
    return text.getvalue()


def rows(labels: list[str]) -> list[dict[str, str]]:
    return [{"id": name, "label": label} for name, label in zip(IDS, labels, strict=True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of all ids, which nobody reads here."""
    folder = tmp_path_factory.mktemp("labels")
    (folder / "images").mkdir()
    for number, name in enumerate(IDS):
        (folder / "images" / f"{name}{PHOTO_SUFFIXES[number % len(PHOTO_SUFFIXES)]}").write_bytes(b"")
    return folder


def labels_of(folder: Path, data: bytes) -> dict[str, str]:
    (folder / "labels.csv").write_bytes(data)
    items = FolderSource(images=folder / "images", labels=folder / "labels.csv", label="label").items()
    found = {item.image_id: item.label for item in items}
    # Whatever the file was: photos that are there, once each, and labels of two kinds that can be shown.
    assert len(found) == len(items) and set(found) <= set(IDS)
    counts = Counter(found.values())
    assert len(counts) > 1 and min(counts.values()) > 1
    assert all(label and label == label.strip() == printable(label) for label in counts)
    return found


@pytest.mark.parametrize("examples", EXAMPLES)
def test_damaged_labels(examples: int, folder: Path) -> None:
    labels = ["yes", "no"] * (len(IDS) // 2)
    originals = [
        written(["id", "label"], rows(labels)).encode(),
        written(["id", "more", "label"], rows(labels), end="\n", quoting=csv.QUOTE_ALL).encode("utf-8-sig"),
    ]

    def check(case: tuple[bytes, bytes]) -> str | None:
        original, data = case
        found = labels_of(folder, data)
        if data != original:
            return None
        assert found == dict(zip(IDS, labels, strict=True))
        return "as it was"

    counts = every_input(examples, damaged(originals), check)
    assert counts["as it was"] and counts["refused"]


@pytest.mark.parametrize("examples", EXAMPLES)
def test_labels_of_any_text(examples: int, folder: Path) -> None:
    def check(case: tuple[list[str], list[str], str, str, int]) -> str | None:
        labels, head, encoding, end, quoting = case
        data = written(head, rows(labels), end=end, quoting=quoting).encode(encoding, errors="surrogatepass")
        found = labels_of(folder, data)
        assert head in HEADS[:3]
        if encoding in ("utf-8", "utf-8-sig"):
            assert found == {name: label.strip() for name, label in zip(IDS, labels, strict=True)}
        return None

    in_pairs = st.lists(WILD, min_size=len(IDS) // 2, max_size=len(IDS) // 2).map(lambda labels: labels * 2)
    inputs = st.tuples(
        in_pairs,
        st.sampled_from(HEADS),
        st.sampled_from(ENCODINGS),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    )
    counts = every_input(examples, inputs, check)
    assert counts["answered"] and counts["refused"]


@pytest.mark.parametrize("examples", EXAMPLES)
def test_plain_labels_are_always_read(examples: int, folder: Path) -> None:
    def check(case: tuple[list[str], list[str], str, str]) -> str | None:
        labels, head, encoding, end = case
        found = labels_of(folder, written(head, rows(labels), end=end).encode(encoding))
        assert found == {name: label.strip() for name, label in zip(IDS, labels, strict=True)}
        return None

    several = st.lists(PLAIN, min_size=4, max_size=4, unique_by=str.strip).map(lambda labels: labels * 2)
    ends, encodings = st.sampled_from(["\n", "\r\n"]), st.sampled_from(["utf-8", "utf-8-sig"])
    counts = every_input(examples, st.tuples(several, st.sampled_from(HEADS[:3]), encodings, ends), check)
    assert set(counts) == {"answered"}


WRONG = {
    "id,label\na,yes\na,no\n": "'a' more than once",
    "id,label\na,yes\nb b,yes\n": "one label only",
    "id,label,label\na,yes,no\n": "the column 'label' twice",
    "id,label\na,\nb b,x\n": "no label for 'a'",
    "id,label\n\0,yes\n": "has no image for",
    "id,label\na,\x1b[31mred\ne,\x1b[31mred\ng',no\n..,no\n": "the label of 'a' is",
    f"id,label\na,{'x' * 1001}\ne,no\n": "a name has 1 to 1000 characters",
    f"id,label\na,{'x' * 140_000}\ne,no\n": "cannot be read",
    'id,label\na,"yes\n': "no image|no label|one label",
    "": "has no column 'id': it has none$",
    "id;label\na;yes\n": "it has id;label; save it with commas between columns$",
}


@pytest.mark.parametrize("text", WRONG)
def test_each_fault_is_named(text: str, folder: Path) -> None:
    with pytest.raises(InputError, match=WRONG[text]):
        labels_of(folder, text.encode())


def test_a_file_whose_name_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "\udcff.png").write_bytes(b"")
    source = FolderSource(images=tmp_path / "images", label="label", labels=tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_bytes(b"id,label\n\xff,no\n")
    with pytest.raises(InputError, match="save it as CSV in UTF-8"):
        source.items()


@pytest.mark.parametrize("examples", EXAMPLES)
def test_damaged_tables_of_pairs(examples: int, folder: Path) -> None:
    photos = sorted((folder / "images").iterdir())
    head = ["photo_a", "photo_b", "mask_a", "mask_b", "label_a", "label_b"]
    names = [f"images/{photo.name}" for photo in photos]
    cells = [dict(zip(head, [*names[n : n + 3], "", "yes", "a,b"], strict=True)) for n in range(4)]
    original = written(head, cells).encode()

    def check(case: tuple[bytes, bytes]) -> str | None:
        _, data = case
        (folder / "pairs.csv").write_bytes(data)
        found = read_pair_table(folder / "pairs.csv")
        assert [row.place.number for row in found] == [*range(1, len(found) + 1)]
        for row in found:
            assert all(path is None or path.is_file() for path in (*row.photos, *row.masks))
        if data != original:
            return None
        assert [row.photos for row in found] == [(photos[n], photos[n + 1]) for n in range(4)]
        assert {(row.masks[1], *row.labels) for row in found} == {(None, "yes", "a,b")}
        return "as it was"

    counts = every_input(examples, damaged([original]), check)
    assert counts["as it was"] and counts["refused"]
