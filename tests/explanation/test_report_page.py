import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.explanation.report_page import best_first, better_child, write_report
from tasks.explanation.report_record import NodeReport, Score, TreeReport
from tasks.metric.compare import Difference
from tasks.metric.controls import Controlled
from tasks.metric.evaluation import Precision

EVIL = "<script>alert('x')</script>\"&"


def png(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (60, 80), grey).save(buffer, "PNG")
    return buffer.getvalue()


def node(name: str, precision: float | None, children: tuple[NodeReport, ...] = (), sheets: int = 1) -> NodeReport:
    scores = {
        k: None if precision is None else Score(value=precision, interval=(precision - 0.04, precision + 0.03))
        for k in (1, 2, 8)
    }
    return NodeReport(
        name=name,
        segments=sum((child.segments for child in children), ()) or (name,),
        children=tuple(child.name for child in children),
        level=1 + max((child.level for child in children), default=-1),
        status="degenerate" if precision is None else "trained",
        precision_at=scores,
        n=120,
        samples=(np.full((3, 20, 20), 90, np.uint8),) * 2,
        sheets=tuple(png(10 * i) for i in range(sheets)),
    )


def report(leaves: int = 8) -> TreeReport:
    row = [node(f"part {i}", 0.6 + i / 50) for i in range(leaves)]
    row[0] = node(EVIL, None, sheets=0)
    nodes = list(row)
    while len(row) > 1:
        # The first join falls below its best child, the others do not.
        row = [
            node(f"{a.level + 1}-{i}", 0.5 if i == 0 else 0.9, (a, b))
            for i, (a, b) in enumerate(zip(row[::2], row[1::2], strict=True))
        ]
        nodes += row
    return TreeReport(
        data_set=EVIL,
        digest="0123abcd",
        images={"train": 80, "validation": 40},
        label_counts={"man": {"train": 30, "validation": 15}, EVIL: {"train": 50, "validation": 25}},
        chance=0.5192,
        nodes=tuple(nodes),
        segmenter_iou={"hair": 0.9, "nose": 0.7, "hat": None},
        r_squared=0.62,
        rank_correlation=0.71,
        pairs=780,
        notes=("label is a function of one segment: " + EVIL,),
    )


def test_a_parent_below_its_best_child_is_found() -> None:
    low, high, none = node("low", 0.6), node("high", 0.8), node("none", None)
    for precision, children, expected in [
        (0.7, (low, high), "high"),
        (0.8, (low, high), None),
        (0.9, (low, high), None),
        (0.5, (none, low), "low"),
        (0.5, (none,), None),
        (None, (low, high), None),
    ]:
        parent = node("parent", precision, children)
        assert better_child(parent, (*children, parent)) == expected


def test_leaves_are_ranked_and_those_without_a_score_come_last() -> None:
    a, b, c = node("a", 0.5), node("b", None), node("c", 0.9)
    assert [leaf.name for leaf in best_first((a, b, c, node("all", 0.7, (a, b, c))))] == ["c", "a", "b"]


@pytest.mark.parametrize("leaves", [2, 8, 16])
def test_the_page_holds_every_node_and_fetches_nothing(tmp_path: Path, leaves: int, parse: Any) -> None:
    run = report(leaves)
    write_report(run, tmp_path / "report.html")
    parsed = parse(tmp_path / "report.html")
    buttons = [attrs for tag, attrs in parsed.elements if tag == "button"]
    assert sorted(str(attrs["data-name"]) for attrs in buttons) == sorted(n.name for n in run.nodes)
    assert parsed.addresses() == []
    assert sum(tag == "script" for tag, _ in parsed.elements) == 1
    sheets = [attrs for tag, attrs in parsed.elements if tag == "img" and "SFAM sheet" in (attrs.get("alt") or "")]
    assert len(sheets) == sum(len(n.sheets) for n in run.nodes)


def test_what_the_page_says(tmp_path: Path, parse: Any) -> None:
    write_report(report(), tmp_path / "report.html")
    text = parse(tmp_path / "report.html").text
    assert f"label is a function of one segment: {EVIL}" in text
    assert "0.500 95 %: 0.460 to 0.530" in text
    assert "0.519 is chance among all validation images" in text
    assert "rank correlation 0.71, 780 pairs" in text
    assert "mean IoU 0.80" in text
    assert "Its P@1 is below its child's, 2-1." in text
    assert "0123abcd" in text
    assert re.search(r"part 7 0\.740 0\.700 to 0\.770 .* part 6 0\.720", text)
    assert "all images 80 40" in text


def test_what_is_unknown_is_left_out(tmp_path: Path, parse: Any) -> None:
    leaves = node("a", None, sheets=0), node("b", None, sheets=0)
    root = replace(node("all", None, leaves, sheets=0), samples=())
    bare = replace(
        report(2), nodes=(*leaves, root), segmenter_iou=None, r_squared=None, rank_correlation=None, notes=()
    )
    write_report(bare, tmp_path / "report.html")
    text = parse(tmp_path / "report.html").text
    assert "no segmenter was measured" in text
    assert "There is no sheet of this node." in text


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (1440, "dark")])
def test_in_a_browser(tmp_path: Path, width: int, scheme: str, open_page: Any, too_small: Any) -> None:
    write_report(report(16), tmp_path / "report.html")
    page, wrong = open_page(tmp_path / "report.html", width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.click('.node[data-name="part 9"]')
    assert too_small(page) == []
    assert page.locator(".panel.shown h3").inner_text().startswith("part 9")
    shown = page.locator("[data-sheets-of]:not([hidden])")
    assert shown.count() == 1
    assert shown.locator("h3").inner_text() == "SFAM sheets: part 9"
    assert page.locator(".node .mark").count() == 4
    assert wrong == []


@pytest.mark.browser
def test_the_link_to_the_sheets_leads_there(tmp_path: Path, open_page: Any) -> None:
    write_report(report(16), tmp_path / "report.html")
    page, _ = open_page(tmp_path / "report.html", 1440, 700)
    page.click('.node[data-name="part 9"]')
    sheets = page.locator("#sheets")
    page.click(".panel.shown a")
    # Just below the panel that stays on top, where the page is long enough.
    below = page.evaluate("document.querySelector('.detail').getBoundingClientRect().bottom")
    assert below <= sheets.bounding_box()["y"] < 700


@pytest.mark.browser
def test_in_mlflow_s_artifact_view(tmp_path: Path, open_in_frame: Any) -> None:
    run = report()
    write_report(run, tmp_path / "report.html")
    frame, wrong = open_in_frame(tmp_path / "report.html")
    seen = set()
    for card in frame.locator(".node").all():
        card.click()
        assert card.get_attribute("data-name") in frame.locator(".panel.shown h3").inner_text()
        assert card.get_attribute("data-name") in frame.locator("[data-sheets-of]:not([hidden]) h3").inner_text()
        seen.add(card.get_attribute("data-name"))
    assert seen == {one.name for one in run.nodes}
    # There a link within the page is refused, with a message in the console; the script scrolls instead.
    before = frame.evaluate("scrollY")
    frame.locator(".panel.shown a").click()
    assert frame.evaluate("scrollY") != before
    assert wrong == []


def test_the_composed_decision_and_the_controls_have_columns_where_they_are(tmp_path: Path, parse: Any) -> None:
    def precision(value: float) -> Precision:
        return Precision(at={1: value, 2: None, 8: None}, intervals={1: (0.5, 0.7), 2: None, 8: None}, n=9)

    plain = report(2)
    above = Difference(value=0.123, interval=(0.1, 0.15), n=9)
    controls = Controlled(shape=precision(0.61), background=None, above=above)
    score = Score(value=0.987, interval=(0.97, 0.99))
    first, second, root = plain.nodes
    nodes = (first, replace(second, weight=0.75, controls=controls), replace(root, composed_at={1: score}))
    write_report(replace(plain, nodes=nodes), tmp_path / "report.html")
    text = parse(tmp_path / "report.html").text
    assert "composed, P@1 0.987 95 %: 0.970 to 0.990" in text
    assert "shape only background only above its controls" in text
    assert "0.610 0.500 to 0.700 n/a 0.123 0.100 to 0.150 0.750" in text
    write_report(plain, tmp_path / "report.html")
    assert "above its controls" not in parse(tmp_path / "report.html").text
