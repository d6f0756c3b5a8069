import pytest

from tasks.errors import LONGEST, InputError, OutOfMemory
from tasks.printable import printable

SHOWN = ["", "plain", "l_eye + r_eye", "Größe 顔 🙂", "5\N{NO-BREAK SPACE}%", "नमस्ते", "👩\N{ZERO WIDTH JOINER}🚀"]
HIDDEN = {
    "a\x1b[2Jb": r"a\x1b[2Jb",
    "a\0": r"a\x00",
    "one\ntwo\r": r"one\ntwo\r",
    "\x9b31m": r"\x9b31m",
    "\udcff.png": r"\udcff.png",
    "a\u2028b": r"a\u2028b",
    "gpj.\u202eexe": r"gpj.\u202eexe",
    "\u2066x": r"\u2066x",
}


@pytest.mark.parametrize("text", SHOWN)
def test_letters_of_any_language_stay(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("text", HIDDEN)
def test_what_commands_a_terminal_is_shown_as_an_escape(text: str) -> None:
    assert printable(text) == HIDDEN[text]


def test_an_error_is_one_line_whatever_it_names() -> None:
    error = InputError("the label 'a\x1b[2J' is wrong:\n  give another")
    assert str(error) == r"the label 'a\x1b[2J' is wrong:   give another"
    assert f"{error}" == str(error)
    assert "\x1b" not in str(OutOfMemory("\x1b[2J"))


def test_a_long_error_keeps_its_beginning_and_its_end() -> None:
    text = str(InputError("the name " + "x" * 100_000 + " is too long: shorten it"))
    assert len(text) < LONGEST + 10
    assert text.startswith("the name xxx") and text.endswith("xxx is too long: shorten it")
    whole = "y" * LONGEST
    assert str(InputError(whole)) == whole
