import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.explanation.markdown import markdown_text


@pytest.mark.parametrize("text", ["hair", "l_eye", "5\N{NO-BREAK SPACE}%", "*given the masks*: 1 - D / 2", "顔"])
def test_plain_words_stay(text: str) -> None:
    assert markdown_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "![x](http://h/p.png)",
        "[x](javascript:alert(1))",
        "a | b",
        "`rm`",
        "a\\",
        "&lt;",
        "<b",
    ],
)
def test_markup_is_shown_letter_by_letter(text: str) -> None:
    shown = markdown_text(text)
    assert not set(shown) & set("<>[]|`\\")
    assert html.unescape(shown) == text  # what a reader sees


@given(st.text())
def test_any_text_is_one_line_that_reads_as_it_was(text: str) -> None:
    shown = markdown_text(text)
    assert len(shown.splitlines()) <= 1
    assert not set(shown) & set("<>[]|`\\")
    assert html.unescape(shown).split() == text.split()
