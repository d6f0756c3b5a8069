"""The tree of one pair as a still picture: tree.png, for a paper, a README or MLflow."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from numpy.typing import NDArray

from tasks.explanation.distance_colour import DISTANCE_STOPS, distance_colour, ink_on
from tasks.explanation.overlay import COLOURS, overlay
from tasks.explanation.plain_text import fitting
from tasks.explanation.record import NodeExplanation, PairExplanation
from tasks.explanation.tree_layout import Place, tree_layout
from tasks.explanation.wording import alike, among_pairs, closest, distance, missing

# All lengths are in pixels.
DPI = 100
LEAST_SLOT, MOST_SLOT = 200.0, 320.0
MARGIN = 36
PHOTO = 220
HEADER = PHOTO + 100
LEAST_WIDTH = 1120.0
GAP = 44
WORDS = 66
GROUND, CARD, INK, QUIET, LINE = "#ffffff", "#ffffff", "#1b1e23", "#5a616b", "#a4aab3"
WASH = "#eceef1"


class Box(NamedTuple):
    """A rectangle by its upper left corner."""

    left: float
    top: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Half way across."""
        return self.left + self.width / 2


def write_tree_picture(explanation: PairExplanation, path: Path) -> None:
    """Writes tree.png: both photos and the verdict above, then the tree, at least 200 pixels wide for every leaf."""
    places = tree_layout({node.name: node.children for node in explanation.nodes})
    leaves = sum(not node.children for node in explanation.nodes)
    slot = min(max(LEAST_SLOT, (LEAST_WIDTH - 2 * MARGIN) / leaves), MOST_SLOT)
    width = max(LEAST_WIDTH, leaves * slot + 2 * MARGIN)
    indent = (width - leaves * slot) / 2
    boxes = {node.name: _box(places[node.name], not node.children, slot, indent) for node in explanation.nodes}
    bottom = max(box.top + box.height for box in boxes.values())

    figure = Figure(figsize=(width / DPI, (bottom + MARGIN) / DPI), dpi=DPI, facecolor=GROUND)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_autoscale_on(False)
    axes.set_xlim(0, width)
    axes.set_ylim(bottom + MARGIN, 0)
    _draw_header(axes, explanation, width)
    _draw_lines(axes, explanation, boxes)
    for node in explanation.nodes:
        _draw_card(axes, node, boxes[node.name])
    figure.savefig(path, format="png", dpi=DPI)


def _box(place: Place, leaf: bool, slot: float, indent: float) -> Box:
    inner = 1.4 * LEAST_SLOT if slot == LEAST_SLOT else slot
    width = slot - 12 if leaf else inner
    pitch = _card_height(inner) + GAP
    middle = indent + (place.x + 0.5) * slot
    return Box(middle - width / 2, HEADER + MARGIN + place.y * pitch, width, _card_height(width))


def _card_height(width: float) -> float:
    return (width - 24) / 2 + WORDS


def _draw_lines(axes: Axes, explanation: PairExplanation, boxes: dict[str, Box]) -> None:
    for node in explanation.nodes:
        above = boxes[node.name]
        turn = above.top + above.height + GAP / 2
        for child in node.children:
            below = boxes[child]
            axes.plot(
                [above.middle, above.middle, below.middle, below.middle],
                [above.top + above.height, turn, turn, below.top],
                color=LINE,
                linewidth=1.1,
                zorder=1,
            )


def _draw_card(axes: Axes, node: NodeExplanation, box: Box) -> None:
    fill = distance_colour(node.bounded_distance)
    why = missing(node)
    outline = FancyBboxPatch(
        (box.left, box.top),
        box.width,
        box.height,
        boxstyle="round,pad=0,rounding_size=10",
        facecolor=CARD,
        edgecolor=LINE if why else fill,
        linewidth=1 if why else 2.2,
        linestyle="--" if why else "-",
        zorder=2,
    )
    axes.add_patch(outline)
    _write(axes, box.middle, box.top + 17, fitting(node.name, box.width - 16, size=14, bold=True), 14, bold=True)
    side = (box.width - 24) / 2
    for index in (0, 1):
        square = Box(box.left + 9 + index * (side + 6), box.top + 31, side, side)
        if node.present[index]:
            saliency = None if node.maps is None else node.maps[index]
            picture = node.composed[index]
            _show(axes, picture if saliency is None else overlay(picture, saliency), square)
        else:
            _draw_absence(axes, square)
    base = box.top + 31 + side + 18
    if why:
        _write(axes, box.middle, base, why, 13, QUIET)
        return
    words = closest(node.percentile)
    pill = box.middle - (46 if words else 0)
    patch = FancyBboxPatch(
        (pill - 27, base - 11), 54, 22, boxstyle="round,pad=0,rounding_size=11", facecolor=fill, linewidth=0, zorder=3
    )
    axes.add_patch(patch)
    _write(axes, pill, base, distance(node.bounded_distance, 2), 13, ink_on(fill), bold=True)
    _write(axes, pill + 34, base, words, 12, QUIET, align="left")


def _draw_absence(axes: Axes, box: Box) -> None:
    hatched = Rectangle((box.left, box.top), box.width, box.height, facecolor=WASH, edgecolor="#d0d4da", hatch="//")
    hatched.set(linewidth=0, zorder=3)
    axes.add_patch(hatched)
    _write(axes, box.middle, box.top + box.height / 2, "absent", 13, QUIET)


def _draw_header(axes: Axes, explanation: PairExplanation, width: float) -> None:
    for index, photo in enumerate(explanation.photos):
        box = Box(MARGIN + index * (PHOTO + 16), MARGIN, PHOTO, PHOTO)
        _show(axes, photo, box)
        name = fitting(f"{'AB'[index]}  {explanation.names[index]}", PHOTO, size=13)
        _write(axes, box.left, box.top + PHOTO + 16, name, 13, align="left")
        label = explanation.labels[index]
        if label is not None:
            _write(axes, box.left, box.top + PHOTO + 36, fitting(label, PHOTO, size=13), 13, QUIET, align="left")
    left = MARGIN + 2 * PHOTO + 56
    _write(axes, left, MARGIN + 24, "Why are these two alike?", 30, bold=True, align="left")
    if explanation.distance is None:
        _write(axes, left, MARGIN + 78, f"no overall similarity: {missing(explanation.root)}", 18, QUIET, align="left")
    else:
        _write(axes, left, MARGIN + 84, alike(explanation.distance, 2), 46, bold=True, align="left")
        _write(axes, left + 164, MARGIN + 94, "similarity, from 0 to 1", 17, QUIET, align="left")
        _write(axes, left, MARGIN + 134, among_pairs(explanation.percentile), 17, align="left")
    stops = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for _, colour in DISTANCE_STOPS])
    positions = np.linspace(0, 1, 256)
    blend = np.stack([np.interp(positions, [stop for stop, _ in DISTANCE_STOPS], stops[:, c]) for c in range(3)])
    _draw_scale(axes, "distance", "0 alike", "1 opposite", blend.astype(np.uint8), left, MARGIN + 178)
    _draw_scale(axes, "map", "little", "much of the similarity", COLOURS.T, left, MARGIN + 208)


def _draw_scale(
    axes: Axes, head: str, low: str, high: str, colours: NDArray[np.uint8], left: float, middle: float
) -> None:
    """A colour scale, uint8 [3, 256], with words at both ends."""
    _write(axes, left, middle, head, 13, align="left", bold=True)
    _write(axes, left + 136, middle, low, 13, QUIET, align="right")
    _show(axes, colours[:, None, :], Box(left + 144, middle - 6, 160, 12), fill=True)
    _write(axes, left + 312, middle, high, 13, QUIET, align="left")


def _show(axes: Axes, picture: NDArray[np.uint8], box: Box, *, fill: bool = False) -> None:
    """A picture, uint8 [3, h, w], in the middle of a box, as large as its shape allows (or filling it)."""
    height, width = picture.shape[1:]
    scale = min(box.width / width, box.height / height)
    across, down = (box.width, box.height) if fill else (width * scale, height * scale)
    left, top = box.left + (box.width - across) / 2, box.top + (box.height - down) / 2
    extent = (left, left + across, top + down, top)
    axes.imshow(np.moveaxis(picture, 0, -1), extent=extent, aspect="auto", interpolation="bilinear", zorder=3)


def _write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    size: int,
    colour: str = INK,
    *,
    bold: bool = False,
    align: str = "center",
) -> None:
    axes.text(
        x,
        y,
        text,
        fontsize=size * 72 / DPI,
        color=colour,
        fontfamily="DejaVu Sans",
        fontweight="bold" if bold else "normal",
        horizontalalignment=align,
        verticalalignment="center",
        # A name may hold dollar signs: it is no formula.
        parse_math=False,
        zorder=4,
    )
