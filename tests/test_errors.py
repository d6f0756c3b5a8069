"""What another library's error says, in one short line."""

from tasks.errors import LONGEST_REASON, reason_of


def test_the_reason_of_an_error_is_one_short_line() -> None:
    assert reason_of(ValueError("no such\n  key:\t'a' ")) == "no such key: 'a'"
    assert reason_of(ValueError("x" * 1000)) == "x" * LONGEST_REASON + " ..."
    assert reason_of(ValueError("one two " * 100)) == "one two " * (LONGEST_REASON // 8 - 1) + "one two ..."
    assert reason_of(TimeoutError()) == "TimeoutError"
