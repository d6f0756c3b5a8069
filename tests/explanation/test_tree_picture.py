from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.explanation.distance_colour import distance_colour
from tasks.explanation.record import NodeExplanation, PairExplanation
from tasks.explanation.tree_picture import write_tree_picture
from tasks.metric.evaluation import Precision

RED = np.zeros((3, 24, 24), np.uint8)
RED[0] = 220
GREEN = RED[[1, 0, 2]]


def node(
    name: str, children: tuple[str, ...], level: int, distance: float | None, present: tuple[bool, bool] = (True, True)
) -> NodeExplanation:
    # Only the middle is hot, so that the picture's own colour is seen around it.
    saliency = np.zeros((24, 24), np.float32)
    saliency[10:14, 10:14] = 1
    return NodeExplanation(
        name=name,
        segments=(name,),
        children=children,
        level=level,
        status="trained",
        present=present,
        snr_distance=distance,
        bounded_distance=distance,
        percentile=None if distance is None else 100 * distance,
        precision=Precision.none(9),
        composed=(RED, GREEN),
        maps=None if distance is None else (saliency, saliency),
        bias_share=None,
    )


def balanced(leaves: int, name: str = "part {}") -> PairExplanation:
    """A tree of 2, 4, 8, 16 leaves; every leaf has another distance, all others 0.5."""
    row = [node(name.format(i), (), 0, i / leaves) for i in range(leaves)]
    nodes, level = list(row), 0
    while len(row) > 1:
        level += 1
        row = [
            node(f"{level}: {i}", (a.name, b.name), level, 0.5)
            for i, (a, b) in enumerate(zip(row[::2], row[1::2], strict=True))
        ]
        nodes += row
    return PairExplanation(
        photos=(RED, GREEN), names=("a.jpg", "b.jpg"), labels=("x", None), nodes=tuple(nodes), additive=None
    )


def pixels(path: Path) -> np.ndarray:
    """A written picture, int [h, w, 3]."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def count(picture: np.ndarray, colour: str) -> int:
    """Pixels of very nearly this #rrggbb."""
    rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return int((np.abs(picture - rgb).max(axis=-1) <= 2).sum())


@pytest.mark.parametrize("leaves", [2, 8, 16])
def test_every_leaf_has_at_least_200_pixels(tmp_path: Path, leaves: int) -> None:
    write_tree_picture(balanced(leaves), tmp_path / "tree.png")
    height, width, _ = pixels(tmp_path / "tree.png").shape
    assert width >= max(200 * leaves, 1000)
    assert height < 2000


def test_nodes_show_both_pictures_and_the_colour_of_their_distance(tmp_path: Path) -> None:
    write_tree_picture(balanced(8), tmp_path / "tree.png")
    picture = pixels(tmp_path / "tree.png")
    # 15 nodes of two pictures and the photos: at least 70 x 70 pixels each, less the hot spot.
    assert count(picture, "#dc0000") > 16 * 70 * 70 * 0.9
    assert count(picture, "#00dc00") > 16 * 70 * 70 * 0.9
    for i in range(8):
        assert count(picture, distance_colour(i / 8)) > 300
    # The maps are there: the hot middle is inferno's pale yellow over red and over green.
    assert ((picture[..., 0] > 230) & (picture[..., 1] > 180) & (picture[..., 2] < 170)).sum() > 15 * 40


def test_the_background_is_white_and_nothing_runs_off_the_edge(tmp_path: Path) -> None:
    write_tree_picture(
        balanced(16, name="a part with a name that is far too long for its card {}"), tmp_path / "tree.png"
    )
    picture = pixels(tmp_path / "tree.png")
    for edge in (picture[:10], picture[-10:], picture[:, :10], picture[:, -10:]):
        assert (edge == 255).all()


def test_a_part_that_is_absent_is_not_shown(tmp_path: Path) -> None:
    def greens(present: tuple[bool, bool]) -> int:
        leaves = (node("hat", (), 0, None, present), node("hair", (), 0, 0.2))
        root = node("all", ("hat", "hair"), 1, 0.3)
        explanation = PairExplanation(
            photos=(RED, RED), names=("a", "b"), labels=(None, None), nodes=(*leaves, root), additive=None
        )
        write_tree_picture(explanation, tmp_path / "tree.png")
        return count(pixels(tmp_path / "tree.png"), "#00dc00")

    assert greens((True, True)) - greens((True, False)) > 100 * 100


def test_names_are_text_whatever_they_hold(tmp_path: Path) -> None:
    # Dollar signs are a formula to matplotlib, unknown letters a warning, and warnings are errors here.
    for name in ("$x^{2$ {}", "顔 {} 🙂", "<script>\n{}", "\udcff{}"):
        write_tree_picture(balanced(2, name=name.replace("{2", "{{2")), tmp_path / "tree.png")


def test_one_node_and_a_root_without_a_model(tmp_path: Path) -> None:
    alone = PairExplanation(
        photos=(RED, GREEN), names=("a", "b"), labels=(None, None), nodes=(node("all", (), 0, None),), additive=None
    )
    write_tree_picture(alone, tmp_path / "tree.png")
    assert pixels(tmp_path / "tree.png").shape[1] >= 1000


def test_the_head_goes_by_the_tree_s_decision(tmp_path: Path) -> None:
    pair = replace(balanced(2), composed_percentile=92.0)
    pair = replace(pair, nodes=(*pair.nodes[:-1], replace(pair.root, composed_distance=0.4)))
    heads = []
    for decision in ("own", "composed", "composed"):
        write_tree_picture(replace(pair, decision=decision), tmp_path / "tree.png")
        heads.append(pixels(tmp_path / "tree.png")[:320])
    assert (heads[0] != heads[1]).any()
    assert (heads[1] == heads[2]).all()
