"""What the page says where the composed decision is the tree's."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.explanation.explain import SegmentedPhoto, explain_pair
from tasks.explanation.explanation_json import explanation_json
from tasks.explanation.page import write_page
from tasks.explanation.record import PairExplanation
from tasks.explanation.wording import number
from tasks.segments.pictures import decode_image, decode_label_map


@pytest.fixture(scope="module")
def pair(grown: Any) -> PairExplanation:
    photos = [
        SegmentedPhoto(image=decode_image(row.image, "x"), label_map=decode_label_map(row.mask, "x"), name="x")
        for row in list(grown.store.iterate("validation"))[:4:3]
    ]
    return explain_pair(replace(grown.trained, decision="composed"), *photos)


def test_the_headline_is_the_composed_distance(pair: PairExplanation, tmp_path: Path) -> None:
    write_page(pair, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert pair.root.composed_distance is not None
    assert f"<strong>{number(1 - pair.root.composed_distance / 4)}</strong>" in page
    assert "By the sum of their parts they are" in page and "As whole photos they are" not in page
    assert "here it is the composed one" in page
    write_page(replace(pair, decision="own"), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "As whole photos they are" in page and "here it is the root&#39;s own" in page.replace("'", "&#39;")


def test_a_combined_node_without_a_distance_of_its_own_shows_the_composed_one(
    pair: PairExplanation, tmp_path: Path
) -> None:
    lost = {"bounded_distance": None, "snr_distance": None, "percentile": None, "maps": None, "bias_share": None}
    nodes = tuple(replace(node, **lost) if node.name == "figure" else node for node in pair.nodes)  # type: ignore[arg-type]
    write_page(replace(pair, nodes=nodes), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("<dt>Composed distance</dt>") == 2


def test_json_says_which_decision_it_is_by(pair: PairExplanation) -> None:
    plain = explanation_json(pair)
    assert pair.root.composed_distance is not None
    assert (plain["decision"], plain["percentile"]) == ("composed", pair.composed_percentile)
    assert plain["similarity"] == pytest.approx(1 - pair.root.composed_distance / 4)
    figure = next(node for node in plain["nodes"] if node["name"] == "figure")
    assert figure["composed_distance"] == pytest.approx(pair.root.composed_distance)
    assert figure["composed_precision_at_1"] is not None
