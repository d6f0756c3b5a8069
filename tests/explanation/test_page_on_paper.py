"""The pages as they are printed: on A4, light and in colour, with nothing cut off."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tasks.bias.bias_page import write_bias_page
from tasks.explanation.page import write_page
from tasks.explanation.report_page import write_report
from tasks.metric.compare import Difference
from tasks.metric.controls import Controlled
from tasks.segments.tree import balanced_tree
from tests.bias.conftest import bias_report, precision
from tests.explanation.conftest import pair
from tests.explanation.test_report_page import png, report

pytestmark = pytest.mark.browser

A4 = 718  # CSS pixels between Chromium's margins
BEYOND = """width => [...document.querySelectorAll("body *")].filter(e => {
  const { left, right } = e.getBoundingClientRect();
  return e.checkVisibility() && (left < -1 || right > width + 1);
}).map(e => e.outerHTML.slice(0, 80))"""
CUT = """[...document.querySelectorAll(".detail, .panels, .segments, .tree-scroll, .table-scroll")].filter(e =>
  getComputedStyle(e).overflow !== "visible" || e.scrollWidth > e.clientWidth + 1).map(e => e.className)"""
PALE = """[...document.querySelectorAll(".pill, .bar > span, .track > span, .range .at, .scale, .absent")].filter(e =>
  getComputedStyle(e).printColorAdjust !== "exact").map(e => e.className)"""


def write_audit(path: Path) -> None:
    leaves = ["hat", "hair", "cloth", "a part of a long name", *(f"part {i}" for i in range(12))]
    write_bias_page(bias_report(balanced_tree(leaves)), {"cloth": png(90)}, path)


def write_controlled(path: Path) -> None:
    """A training run whose table has all its columns."""
    above = Difference(value=0.123, interval=(0.1, 0.15), n=9)
    controls = Controlled(shape=precision(0.6), background=precision(0.5), above=above)
    run = report(16)
    nodes = (
        replace(node, composed_at=node.precision_at) if node.children else replace(node, controls=controls, weight=0.1)
        for node in run.nodes
    )
    write_report(replace(run, nodes=tuple(nodes)), path)


def printed(open_page: Any, path: Path, scheme: str = "light") -> Page:
    page: Page = open_page(path, A4, scheme=scheme)[0]
    page.emulate_media(media="print")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "write",
    [lambda path: write_page(pair(8), path), lambda path: write_page(pair(16), path), write_controlled, write_audit],
    ids=["pair of 8", "pair of 16", "report", "audit"],
)
def test_all_is_on_the_paper_in_its_colours(
    open_page: Any, tmp_path: Path, write: Callable[[Path], None], scheme: str
) -> None:
    write(tmp_path / "page.html")
    page = printed(open_page, tmp_path / "page.html", scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == A4
    assert page.evaluate(BEYOND, A4) == []
    assert page.evaluate(CUT) == []
    assert page.evaluate(PALE) == []
    ink, ground = page.evaluate(
        "(({ color, backgroundColor }) => [color, backgroundColor])(getComputedStyle(document.documentElement))"
    )
    assert (ink, ground) == ("rgb(27, 30, 35)", "rgb(255, 255, 255)")


def test_what_is_for_hands_stays_off_the_paper(open_page: Any, tmp_path: Path) -> None:
    write_page(pair(8), tmp_path / "page.html")
    page = printed(open_page, tmp_path / "page.html")
    assert not page.locator("#opacity").is_visible() and not page.locator("#on-photos").is_visible()
    assert page.locator(".map-legend").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.detail')).position") == "static"
