"""The page of a pair as MLflow's artifact view shows it: a blob in a frame that may run scripts and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from tasks.explanation.page import write_page
from tasks.explanation.pair_place import PairPlace

pytestmark = pytest.mark.browser

STORAGE = "() => { try { return Boolean(localStorage); } catch (error) { return error.name; } }"


def test_the_frame_is_as_closed_as_mlflow_s(open_in_frame: Any, tmp_path: Path, make_pair: Any) -> None:
    # Else the other tests would prove nothing: it has no origin, so no storage.
    write_page(make_pair(2), tmp_path / "index.html")
    frame, _ = open_in_frame(tmp_path / "index.html")
    assert frame.evaluate("[location.protocol, origin]") == ["blob:", "null"]
    assert frame.evaluate(STORAGE) == "SecurityError"


def test_every_node_can_be_reached_and_maps_change(open_in_frame: Any, tmp_path: Path, make_pair: Any) -> None:
    pair = make_pair(8)
    write_page(pair, tmp_path / "index.html", PairPlace(number=1, count=2))
    frame, wrong = open_in_frame(tmp_path / "index.html")
    seen = {}
    for card in frame.locator(".node").all():
        card.click()
        name = frame.locator(".panel.shown h3").inner_text()
        assert name == card.get_attribute("data-name")
        maps = frame.locator(".panel.shown .on-photos .map").all()
        assert all(one.evaluate("e => e.complete && e.naturalWidth > 0") for one in maps)
        seen[name] = tuple(one.get_attribute("src") for one in maps)
    assert sorted(seen) == sorted(node.name for node in pair.nodes)
    assert len(set(seen.values())) == len(pair.nodes) - 1  # two nodes have no maps
    frame.locator(".node").first.press("ArrowDown")
    assert frame.locator(".panel.shown h3").inner_text() == "2-0"
    frame.locator("#opacity").fill("20")
    assert frame.locator(".panel.shown .map").first.evaluate("e => getComputedStyle(e).opacity") == "0.2"
    # From there no link leads to another file.
    assert frame.locator("nav.pairs").count() == 0
    assert wrong == []
