"""What the page says where the composed decision is the tree's."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.explanation.explain import SegmentedPhoto, explain_pair
from tasks.explanation.explanation_json import explanation_json
from tasks.explanation.page import write_page
from tasks.explanation.record import AdditiveReading, PairExplanation
from tasks.explanation.wording import number
from tasks.metric.evaluation import Precision
from tasks.segments.pictures import decode_image, decode_label_map

PRECISION = Precision(
    at={1: 0.61, 2: 0.71, 8: 0.81}, intervals={1: (0.60, 0.62), 2: (0.70, 0.72), 8: (0.80, 0.82)}, n=16
)


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
    assert f"<strong>{number(1 - pair.root.composed_distance / 4, 3)}</strong>" in page
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
    assert pair.root.composed_distance is not None
    write_page(replace(pair, nodes=nodes), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("By the sum of its parts: ") == 2
    assert page.count(f"composed distance {number(pair.root.composed_distance, 3)} of at most 4") == 2


def test_both_decisions_of_the_root_have_percentile_and_precision(pair: PairExplanation, tmp_path: Path) -> None:
    pair = replace(
        pair,
        composed_percentile=92.0,
        nodes=(*pair.nodes[:-1], replace(pair.root, percentile=17.0, composed_precision=PRECISION)),
    )
    write_page(pair, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    panel = page[page.index(f'id="d{len(pair.nodes) - 1}"') :]
    words = " ".join(re.sub(r"<[^>]+>", " ", panel[: panel.index("</article>")]).split())
    assert "By its own model: closer than 83 % of the validation pairs" in words
    assert "By the sum of its parts: farther apart than 92 % of the validation pairs , composed distance" in words
    assert "sum of parts 0.61 0.60 to 0.62 0.71 0.70 to 0.72 0.81 0.80 to 0.82" in words
    assert page.count("By the sum of their parts they are <b>farther apart than 92") == 1


def test_the_sum_says_what_it_makes_of_the_similarity_and_which_part_is_most_of_it(
    pair: PairExplanation, tmp_path: Path
) -> None:
    terms = {"body": 0.3, "badge": 0.9}
    reading = AdditiveReading(
        terms=terms,
        weights={"body": 0.5, "badge": 0.5},
        total=1.2,
        root_distance=1.0,
        predicted_root_distance=1.0,
        residual=0.0,
        r_squared=0.9,
        rank_correlation=0.9,
        pairs=120,
    )
    summed = replace(pair, additive=reading, nodes=(*pair.nodes[:-1], replace(pair.root, composed_distance=1.2)))
    write_page(summed, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "1 \N{MINUS SIGN} 1.200 / 4 = 0.700 is the similarity at the top of the page" in page
    assert "The largest share of their distance: <b>badge</b> (75\N{NO-BREAK SPACE}% of the sum)." in page
    write_page(replace(summed, decision="own"), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "The largest share" not in page and "is the similarity at the top" not in page


def test_json_says_which_decision_it_is_by(pair: PairExplanation) -> None:
    plain = explanation_json(pair)
    assert pair.root.composed_distance is not None
    assert (plain["decision"], plain["percentile"]) == ("composed", pair.composed_percentile)
    assert plain["similarity"] == pytest.approx(1 - pair.root.composed_distance / 4)
    figure = next(node for node in plain["nodes"] if node["name"] == "figure")
    assert figure["composed_distance"] == pytest.approx(pair.root.composed_distance)
    assert figure["composed_precision_at_1"] is not None
