import pytest

from tasks.errors import InputError
from tasks.segments.names import LONGEST_NAME, check_name


@pytest.mark.parametrize("name", ["a", "../x", "/etc/passwd", "<b>|`$x$", "two words", "x" * LONGEST_NAME, "顔"])
def test_what_can_be_shown_is_a_name(name: str) -> None:
    assert check_name(name, "the label") == name


@pytest.mark.parametrize("name", ["", "\0", "a\nb", "a\tb", "\x1b[2J", "x" * (LONGEST_NAME + 1), "\ud800", "a\u202eb"])
def test_what_cannot_is_none(name: str) -> None:
    with pytest.raises(InputError, match=r"^the label is '.*': a name has 1 to 1000 characters") as raised:
        check_name(name, "the label")
    assert len(str(raised.value)) < 200
