"""The errors that a user can cause or mend: wrong input, said in one line, too little memory, and a stopped run."""

import re

from tasks.printable import printable

LONGEST_REASON = 200  # characters of another library's message: they write paragraphs
LONGEST = 1500  # characters of a message: what it names may be a thousand long, and its advice stands at the end
_LINE_BREAKS = re.compile(r"[\t\n\r\v\f]+")


class InputError(ValueError):
    """Wrong input. The message says what is wrong, where, and what would do, in one line.

    The command line prints it without a traceback and exits with code 2. Whatever the data hold that it names, it is
    one line that commands no terminal.
    """

    def __str__(self) -> str:
        text = printable(_LINE_BREAKS.sub(" ", super().__str__()))
        return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


class OutOfMemory(InputError):
    """A training needs more memory than there is.

    Attributes:
        args: one text, which training it was and what was tried. The message adds what would do.
    """

    def __str__(self) -> str:
        return f"{super().__str__()}: a smaller --batch or --size would do, or a device with more memory"


def reason_of(error: BaseException) -> str:
    """What another library's error says, in one line, cut between words; its kind where it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON].rsplit(" ", 1)[0] + " ..."


class Stopped(Exception):
    """Nobody waits for this work any more: its run was cancelled or is gone. What was finished is kept."""
