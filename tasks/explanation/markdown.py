"""Names from data inside of Markdown: they can be no HTML, no link, no picture, no code and no cell's end."""

import re

# Emphasis (`*`, `_`) is left: our own notes use it, and in a name it does no harm.
_MARKUP = re.compile(r"[&<>\[\]|`\\]")
_LINE_BREAKS = re.compile(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_ENTITIES = {letter: f"&#{ord(letter)};" for letter in "[]|`\\"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def markdown_text(data: str) -> str:
    """The text in one line of Markdown, with nothing in it but emphasis that a renderer would take for more."""
    return _MARKUP.sub(lambda found: _ENTITIES[found[0]], _LINE_BREAKS.sub(" ", data))
