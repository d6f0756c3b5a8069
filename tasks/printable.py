"""Text that comes from data, fit to be shown in a line: it can neither command a terminal nor break the line."""

import unicodedata

# Control characters, halves of a pair, and separators of lines and paragraphs.
_CATEGORIES = frozenset(("Cc", "Cs", "Zl", "Zp"))
# Marks that turn the direction of what follows, so that a line reads as something else than it is.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    r"""The text in one line, with an escape such as `\x1b` in place of each letter that is not for showing."""
    if text.isprintable():
        return text
    return "".join(letter if _shows(letter) else letter.encode("unicode_escape").decode() for letter in text)


def _shows(letter: str) -> bool:
    return unicodedata.category(letter) not in _CATEGORIES and letter not in _DIRECTIONS
