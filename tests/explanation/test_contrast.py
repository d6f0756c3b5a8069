"""Text can be read on what it stands on, light and dark: a contrast of 4.5 : 1 at least (WCAG 2.1, AA)."""

import re
from itertools import product

import pytest

from tasks.explanation.rendering import TEMPLATES


def colours(theme: str) -> dict[str, tuple[int, int, int]]:
    """The style sheet's variables that are colours; the dark theme changes some of the light one's."""
    light, dark = (
        (TEMPLATES / "base.css").read_text(encoding="utf-8").split("@media screen and (prefers-color-scheme: dark)")
    )
    text = light if theme == "light" else light + dark
    found = re.findall(r"--([\w-]+): #([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2});", text)
    return {name: (int(red, 16), int(green, 16), int(blue, 16)) for name, red, green, blue in found}


def contrast(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    def luminance(colour: tuple[int, int, int]) -> float:
        parts = [value / 255 for value in colour]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_black_on_white_is_21() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)  # WCAG's well-known near miss


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_s_colour_can_be_read_on_every_ground(theme: str) -> None:
    found = colours(theme)
    pairs = {*product(("ink", "quiet", "accent", "warn"), ("ground", "card", "wash")), ("ground", "ink")}
    pairs.add(("quiet", "line"))  # the word "absent" on its hatching
    measured = {(text, ground): contrast(found[text], found[ground]) for text, ground in pairs}
    assert {pair: value for pair, value in measured.items() if value < 4.5} == {}


def test_texts_take_their_colours_from_there() -> None:
    # What a style sheet writes by itself would escape the test above: white on a photo's dark corner is all.
    written = [
        match
        for path in sorted(TEMPLATES.glob("*.css"))
        for match in re.findall(r"[\s;{]color: ([^;]+);", path.read_text(encoding="utf-8"))
    ]
    assert len(written) > 20
    assert {value for value in written if not value.startswith("var(--")} == {"#fff", "inherit"}
