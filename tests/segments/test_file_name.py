import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.segments.file_name import LONGEST, file_name

CLIMBING = (
    "../../x",
    "/etc/x",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    "a\0b",
    "~/x",
    ".hidden",
    " x ",
    "x.",
    "con\n",
    "%2e%2e/x",
)


@pytest.mark.parametrize("text", ["hair", "p 1", "no Dress", "IMG_0001.jpg-2", "Größe", "顔"])
def test_a_plain_text_is_its_own_name(text: str) -> None:
    assert file_name(text) == text


@pytest.mark.parametrize("text", CLIMBING)
def test_no_name_leads_out_of_its_folder(text: str, tmp_path: Path) -> None:
    path = tmp_path / "out" / f"{file_name(text)}.png"
    path.parent.mkdir()
    path.write_bytes(b"")
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert [found.name for found in tmp_path.iterdir()] == ["out"]


@given(st.text())
def test_any_text_gives_a_name_that_every_file_system_takes(text: str) -> None:
    name = file_name(text)
    assert 0 < len(name.encode()) <= LONGEST
    assert re.fullmatch(r"[^./\\\0\n ]([^/\\\0\n]*[^. /\\\0\n])?", name)
    assert file_name(name) == name


@given(st.lists(st.text("ab/.\\_ "), unique=True, max_size=20))
def test_no_two_texts_have_one_name(texts: list[str]) -> None:
    assert len({file_name(text) for text in texts}) == len(texts)


def test_long_texts_that_differ_at_their_end_have_two_names() -> None:
    assert file_name("x" * 300) != file_name("x" * 299 + "y")
    assert file_name("x" * 300).startswith("x" * 80)
    assert len(file_name("顔" * 300).encode()) <= LONGEST
