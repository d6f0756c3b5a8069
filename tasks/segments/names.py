"""What may be a name: of a photo, a label, a group, a class or a node of the tree."""

from tasks.errors import InputError
from tasks.printable import printable

LONGEST_NAME = 1000  # characters


def check_name(name: str, what: str) -> str:
    """The name, if it can be shown in a line and kept by every database: what is longer or holds controls is no name.

    Args:
        name: the name.
        what: whose it is and where, for the message.

    Raises:
        InputError: it is empty, longer than `LONGEST_NAME` characters, or has a letter that is not for showing.
    """
    if not name or len(name) > LONGEST_NAME or printable(name) != name:
        shown = repr(name if len(name) <= 40 else f"{name[:40]}...")
        raise InputError(f"{what} is {shown}: a name has 1 to {LONGEST_NAME} characters and no control characters")
    return name
