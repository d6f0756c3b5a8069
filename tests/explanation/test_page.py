import base64
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.explanation.explanation_json import explanation_json
from tasks.explanation.page import spot, write_page
from tasks.explanation.pair_place import PairPlace
from tasks.explanation.wording import verdict
from tasks.metric.decision import Decision
from tasks.metric.evaluation import Precision
from tasks.segments.framing import Box


@pytest.fixture
def parsed(tmp_path: Path, make_pair: Any, parse: Any) -> Any:
    write_page(make_pair(8), tmp_path / "index.html")
    return parse(tmp_path / "index.html")


def test_nothing_is_fetched(parsed: Any) -> None:
    assert parsed.addresses() == []
    assert {tag for tag, _ in parsed.elements}.isdisjoint({"iframe", "object", "embed", "base", "form"})
    assert len(parsed.all("link")) == 1


def test_styles_fetch_nothing_and_the_policy_forbids_it(tmp_path: Path, make_pair: Any) -> None:
    write_page(make_pair(2), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"url\(|@import|https?://", page) == []
    assert "default-src 'none'; img-src data:;" in page


def test_names_are_shown_as_text(parsed: Any, evil: str) -> None:
    assert len(parsed.all("script")) == 1
    assert all(attributes.get("src") != "x" for attributes in parsed.all("img"))
    assert all("onerror" not in attributes for _, attributes in parsed.elements)
    # The name of photo A, its label, and the name of a part.
    assert parsed.text.count("<script>alert") >= 4
    assert any(attributes.get("data-name") == evil for attributes in parsed.all("button"))


def test_a_name_that_is_no_text_does_not_stop_the_page(tmp_path: Path, make_pair: Any, parse: Any) -> None:
    pair = replace(make_pair(2), names=("a\udcff.jpg", "{{ 7 * 7 }}.jpg"))
    write_page(pair, tmp_path / "index.html")
    text = parse(tmp_path / "index.html").text
    assert "a?.jpg" in text
    assert "{{ 7 * 7 }}.jpg" in text


@pytest.mark.parametrize("leaves", [2, 8, 16])
def test_every_node_is_a_button_with_its_panel(tmp_path: Path, leaves: int, make_pair: Any, parse: Any) -> None:
    pair = make_pair(leaves)
    write_page(pair, tmp_path / "index.html")
    parsed = parse(tmp_path / "index.html")
    buttons = parsed.all("button", class_="node")
    assert sorted(str(button["data-name"]) for button in buttons) == sorted(n.name for n in pair.nodes)
    panels = {attributes["id"] for attributes in parsed.all("article")}
    assert {button["aria-controls"] for button in buttons} == panels
    assert [button["data-name"] for button in buttons if button["aria-pressed"] == "true"] == [pair.root.name]
    # Each picture is in the file once: two a node that has its part, two maps where there is a distance, two photos.
    shown = sum(sum(n.present) for n in pair.nodes) + 2 * sum(n.maps is not None for n in pair.nodes) + 2
    assert len(parsed.all("img", src="data:image/")) == shown


def test_the_headline_and_the_words(parsed: Any, make_pair: Any) -> None:
    assert make_pair(8).root.bounded_distance == 0.05
    assert "Why are these two alike?" in parsed.text
    assert "0.950 similarity" in parsed.text
    assert "they are closer than 83 % of the validation pairs ." in parsed.text
    assert "absent in A" in parsed.text
    assert "no model" in parsed.text
    assert "Degenerate: this node was not trained" in parsed.text
    assert "Their labels differ." in parsed.text
    assert "explains 62 % of how the root's distance varies" in parsed.text


def test_every_card_says_distance_similarity_and_percentile(tmp_path: Path, make_pair: Any) -> None:
    pair = make_pair(8)
    write_page(pair, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    words = re.findall(r'data-name="([^"]+)".*?<span class="figures">(.*?)</button>', page, flags=re.DOTALL)
    said = {name: " ".join(re.sub(r"<[^>]+>", " ", inside).split()) for name, inside in words}
    assert said.pop("part 2") == "no model"
    distances = {node.name: node.bounded_distance for node in pair.nodes if node.bounded_distance is not None}
    assert {name: said[name] for name in distances} == {
        name: f"distance {distance:.3f} {1 - distance:.3f} similar closest 17 %" for name, distance in distances.items()
    }


def test_a_node_s_panel_says_its_precision_at_every_k_with_intervals(parsed: Any) -> None:
    assert "How often it finds the label 120 validation photos" in parsed.text
    # Fewer than nine images, say: no P@8.
    assert "P@1 P@2 P@8 own model 0.84 0.79 to 0.88 0.83 0.78 to 0.87 n/a n/a" in parsed.text


def test_a_figure_is_set_beside_what_half_of_the_pairs_reach(tmp_path: Path, make_pair: Any, parse: Any) -> None:
    write_page(replace(make_pair(2), typical_distance=0.2), tmp_path / "index.html")
    assert "half of the validation pairs, which are pairs of other photos, are at 0.800 or above." in (
        parse(tmp_path / "index.html").text
    )


@pytest.mark.parametrize(
    ("decision", "chance", "said"), [("own", 0.79, True), ("own", 0.78, False), ("composed", 0.79, False)]
)
def test_a_tree_that_only_guesses_is_said_to(
    decision: Decision, chance: float, said: bool, tmp_path: Path, make_pair: Any, parse: Any
) -> None:
    made = make_pair(2)
    better = Precision(at={1: 0.9, 2: 0.9, 8: 0.9}, intervals=dict.fromkeys((1, 2, 8), (0.88, 0.92)), n=120)
    root = replace(made.root, composed_precision=better)  # its own P@1 is 0.84 (0.79 to 0.88)
    changed = replace(made, decision=decision, chance=chance, nodes=(*made.nodes[:-1], root))
    write_page(changed, tmp_path / "index.html")
    words = "any better than guessing is not shown: its P@1 is 0.84 (0.79 to 0.88), a guess's 0.79."
    assert (words in parse(tmp_path / "index.html").text) is said
    assert ("better than guessing" in parse(tmp_path / "index.html").text) is said


def test_near_equal_photos_are_not_said_to_be_equal(tmp_path: Path, make_pair: Any, parse: Any) -> None:
    made = make_pair(2)
    additive = replace(made.additive, terms={"part 0": 7.6e-6, "part 1": 0.0}, total=7.6e-6)
    root = replace(made.root, bounded_distance=4.1e-5, snr_distance=8.2e-5)
    write_page(replace(made, additive=additive, nodes=(*made.nodes[:-1], root)), tmp_path / "index.html")
    text = parse(tmp_path / "index.html").text
    assert ">0.999 similarity" in text
    assert "Bounded distance 4.1e-5 SNR distance 8.2e-5" in text
    assert "part 0 7.6e-6 part 1 0.000 composed 7.6e-6" in text
    assert "the total of 7.6e-6." in text


def test_without_javascript_the_page_says_what_is_missing(parsed: Any) -> None:
    assert "Without JavaScript the panel above stays at the root, without its pictures." in parsed.text


def test_bars_add_up_to_the_chart(parsed: Any) -> None:
    bars = [str(a["style"]) for _, a in parsed.elements if re.match(r"left:[\d.]+%;width:", a.get("style") or "")]
    assert len(bars) == 8
    reached = 0.0
    for style in bars:
        left, width = (float(number) for number in re.findall(r"([\d.]+)%", style))
        assert left == pytest.approx(reached, abs=0.02)
        reached = left + width
    assert reached == pytest.approx(100, abs=0.05)


def test_leaves_are_listed_from_most_to_least_alike(tmp_path: Path, make_pair: Any) -> None:
    # Percentiles fall where distances rise: distances of two nodes do not compare.
    made = make_pair(8)
    nodes = tuple(
        node if node.percentile is None else replace(node, percentile=90.0 - i) for i, node in enumerate(made.nodes)
    )
    write_page(replace(made, nodes=nodes), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    strip = page[page.index('<ol class="strip">') : page.index("</ol>")]
    names = re.findall(r'<b class="name" title="([^"]*)"', strip)
    assert names[:6] == [f"part {i}" for i in (7, 6, 5, 4, 3, 0)]
    assert len(names) == 8
    assert "0.775 similar, farthest 17" in strip
    assert "part 7 (farthest 17 %), then part 6 (farthest 16 %). Least alike: part 0 (farthest 10 %)." in " ".join(
        re.sub(r"<[^>]+>", "", page).replace("\N{NO-BREAK SPACE}", " ").split()
    )


def decoded(address: str) -> np.ndarray:
    """A picture's data: address as uint8 [h, w, 4]."""
    with Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))) as opened:
        return np.asarray(opened.convert("RGBA"))


def test_parts_are_compared_by_the_pairs_of_one_label_where_there_are_such(tmp_path: Path, make_pair: Any) -> None:
    # Among all pairs part 0 would be the farthest; among those of one label it is the closest.
    made = make_pair(2)
    nodes = tuple(
        replace(node, percentile=90.0 - i, same_label_percentile=3.0 + 40 * i)
        if not node.children and node.percentile is not None
        else node
        for i, node in enumerate(made.nodes)
    )
    write_page(replace(made, nodes=nodes), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    strip = page[page.index('<ol class="strip">') : page.index("</ol>")]
    names = re.findall(r'<b class="name" title="([^"]*)"', strip)
    known = [node.name for node in nodes if not node.children and node.percentile is not None]
    assert names[: len(known)] == known
    assert "closer than 97 % of the pairs of one label" in strip
    assert "Most alike, compared with those pairs: <b>part 0</b> (closer than 97 % of the pairs of one label)" in page


def test_the_parts_maps_added_up_lie_over_the_photos(tmp_path: Path, make_pair: Any) -> None:
    added = np.array([[-5.0, 0.0], [1.0, 4.0]], dtype=np.float32)
    made = replace(make_pair(2), composed_maps=(added, np.zeros((2, 2), dtype=np.float32)))
    write_page(made, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    figure = page[page.index('<figure class="composed-maps">') :]
    layers = [decoded(address) for address in re.findall(r'class="map" alt="" src="([^"]+)"', figure)[:2]]
    first = layers[0][..., 3].astype(float)
    assert first.max() == first[1, 1] > first[1, 0] > first[0, 0]  # what is negative is not shown
    assert layers[1][..., 3].max() == layers[1][..., 3].min()
    write_page(make_pair(2), tmp_path / "without.html")
    assert "composed-maps" not in (tmp_path / "without.html").read_text(encoding="utf-8").split("</style>")[-1]


def test_a_pair_without_any_distance_has_a_page(
    tmp_path: Path, make_pair: Any, make_node: Any, nothing: dict[str, Any], parse: Any
) -> None:
    leaves = (
        make_node("a", 0, present=(False, False), **nothing),
        make_node("b", 1, status="degenerate", **nothing),
    )
    root = make_node("all", 2, leaves, status="degenerate", **nothing)
    pair = replace(make_pair(2), nodes=(*leaves, root), additive=None)
    assert verdict(pair) == "no overall similarity: no model"
    write_page(pair, tmp_path / "index.html")
    text = parse(tmp_path / "index.html").text
    assert "There is no overall similarity: all has no model." in text
    assert "absent in both" in text
    assert "There is no additive reading" in text


def test_one_node_is_a_tree_too(tmp_path: Path, make_pair: Any, make_node: Any, parse: Any) -> None:
    write_page(replace(make_pair(2), nodes=(make_node("all", 0),), additive=None), tmp_path / "index.html")
    assert len(parse(tmp_path / "index.html").all("button")) == 1


def test_photos_keep_their_shapes(tmp_path: Path, make_pair: Any) -> None:
    pair = make_pair(2)
    photo = pair.photos[0][:, :10, :40]
    write_page(replace(pair, photos=(photo, photo.transpose(0, 2, 1))), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "width:100.0%;height:25.0%" in page and "width:25.0%;height:100.0%" in page


def test_a_map_lies_where_its_node_looked() -> None:
    # A square of 30 x 30 pixels whose corner is 10 right and 15 above of the upper left one, in 60 x 90 pixels.
    assert spot(Box(10, -15, 40, 15), height=60, width=90) == pytest.approx((100 / 9, -25, 100 / 3, 50))
    assert spot(None, height=60, width=90) == (0, 0, 100, 100)


def test_a_pair_of_a_list_leads_to_the_list_and_to_its_neighbours(tmp_path: Path, make_pair: Any, parse: Any) -> None:
    def links(number: int) -> list[str]:
        write_page(make_pair(2), tmp_path / "index.html", PairPlace(number=number, count=3))
        addresses: list[str] = parse(tmp_path / "index.html").addresses()
        return addresses

    assert links(1) == ["../index.html", "../002/index.html"]
    assert links(2) == ["../index.html", "../001/index.html", "../003/index.html"]
    assert links(3) == ["../index.html", "../002/index.html"]
    assert "pair 3 of 3" in parse(tmp_path / "index.html").text


def test_json_is_strict_and_holds_no_pixels(make_pair: Any, evil: str) -> None:
    pair = make_pair(4)
    first = replace(pair.nodes[0], snr_distance=math.inf, bounded_distance=np.float32(0.25), present=(np.True_, True))
    pair = replace(pair, nodes=(first, *pair.nodes[1:]), additive=replace(pair.additive, rank_correlation=math.nan))
    plain = explanation_json(pair)
    read = json.loads(json.dumps(plain, allow_nan=False))
    assert read == plain
    assert len(json.dumps(plain)) < 10_000
    assert [n["name"] for n in read["nodes"]] == [n.name for n in pair.nodes]
    assert read["nodes"][0]["snr_distance"] is None
    assert read["nodes"][0]["similarity"] == 0.75
    assert read["nodes"][0]["present"] == [True, True]
    assert read["nodes"][0]["precision_at_2"] == 0.83
    assert read["nodes"][0]["precision_at_2_interval"] == [0.78, 0.87]
    assert read["nodes"][0]["composed_precision_at_1"] is None
    assert read["nodes"][1]["bounded_distance"] is None
    assert read["additive"]["rank_correlation"] is None
    assert read["photos"][0] == {"name": evil, "label": evil, "height": 60, "width": 90}
    assert read["similarity"] == pytest.approx(0.95)
