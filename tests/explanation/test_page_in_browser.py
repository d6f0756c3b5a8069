"""The page of a pair as people use it: by pointer, finger and keys, narrow and wide, light and dark."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tasks.explanation.page import write_page
from tasks.explanation.pair_place import PairPlace
from tasks.segments.framing import Box

pytestmark = pytest.mark.browser

MARKS = ("aria-current", "aria-pressed")
MAPS = ".panel.shown .on-photos .map"


def box(page: Page, selector: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = page.eval_on_selector_all(
        selector, "all => all.map(e => e.getBoundingClientRect().toJSON())"
    )
    return found


def shown(page: Page) -> str:
    return page.locator(".panel.shown h3").inner_text()


@pytest.fixture
def written(tmp_path: Path, make_pair: Any) -> Path:
    write_page(make_pair(8), tmp_path / "index.html")
    return tmp_path / "index.html"


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1100, 560), (375, 812), (375, 400)])
def test_keys_reach_every_node_and_show_its_panel(
    open_page: Any, written: Path, make_pair: Any, width: int, height: int
) -> None:
    page, wrong = open_page(written, width, height)
    while page.evaluate("document.activeElement.dataset.name") is None:
        page.keyboard.press("Tab")
    visited = set()
    for row, cards in enumerate((1, 2, 4, 8)):
        for key in ["Home"] + ["ArrowDown"] * row + ["ArrowRight"] * (cards - 1):
            page.keyboard.press(key)
            name = page.evaluate("document.activeElement.dataset.name")
            visited.add(name)
            assert shown(page) == name
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            # The panel that stays on top must not hide the card in focus, nor the window's edges.
            card = page.evaluate("document.activeElement.getBoundingClientRect().toJSON()")
            stays = page.evaluate("getComputedStyle(document.querySelector('.detail')).position") == "sticky"
            if stays:
                assert card["top"] >= box(page, ".detail")[0]["bottom"] - 1
            assert card["left"] >= 0 and card["right"] <= width + 1
    assert visited == {n.name for n in make_pair(8).nodes}
    assert wrong == []


def test_the_tree_is_one_stop_of_the_tab_key(open_page: Any, written: Path) -> None:
    page, _ = open_page(written, 1440)
    page.locator("#on-photos").focus()
    seen = []
    for key in ("Tab", "End", "Tab", "Shift+Tab", "Home", "Shift+Tab"):
        page.keyboard.press(key)
        seen.append(page.evaluate("document.activeElement.dataset.name ?? document.activeElement.id"))
    assert seen == ["3-0", "part 7", "", "part 7", "3-0", "on-photos"]


def test_keys_show_a_node_and_only_a_choice_presses_it(open_page: Any, written: Path) -> None:
    page, _ = open_page(written, 1440)

    def marked() -> list[str]:
        return [str(page.locator(f'.node[{by}="true"]').get_attribute("data-name")) for by in MARKS]

    page.locator(".node").first.focus()
    page.keyboard.press("ArrowDown")
    assert marked() == ["2-0", "3-0"]
    said = page.locator("#said[aria-live=polite]").inner_text()
    assert said.replace("\N{NO-BREAK SPACE}", " ") == "2-0: By its own model: closer than 83 % of the validation pairs"
    page.keyboard.press("Enter")
    assert marked() == ["2-0", "2-0"]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert marked() == ["2-1", "2-1"]


@pytest.mark.parametrize(("width", "height"), [(375, 812), (720, 450)])
def test_a_small_window_s_panel_leaves_room_and_can_be_read_to_its_end(
    open_page: Any, written: Path, width: int, height: int
) -> None:
    page, _ = open_page(written, width, height)
    detail = page.locator(".detail")
    assert detail.bounding_box()["height"] <= 0.4 * height + 1
    # The names of the parts are on one line, which scrolls.
    segments = "(e => [e.scrollHeight <= e.clientHeight, getComputedStyle(e).overflowX, e.scrollWidth > e.clientWidth])"
    assert page.locator(".panel.shown .segments").evaluate(segments) == [True, "auto", True]
    # A fading edge says that there is more, and the tools stay.
    edge = "e => (({ position, backgroundImage }) => [position, backgroundImage])(getComputedStyle(e, '::after'))"
    position, fade = page.locator(".panels").evaluate(edge)
    assert position == "sticky" and fade.startswith("linear-gradient")
    page.locator(".panels").evaluate("e => e.scrollTo(0, e.scrollHeight)")
    panels, end = box(page, ".panels")[0], max(one["bottom"] for one in box(page, ".panel.shown *"))
    assert panels["bottom"] - 17 <= end <= panels["bottom"]
    assert box(page, ".tools")[0]["bottom"] <= box(page, ".detail")[0]["bottom"]


def test_a_finger_meets_what_it_aims_at(open_page: Any, tmp_path: Path, make_pair: Any, too_small: Any) -> None:
    write_page(make_pair(16), tmp_path / "index.html", PairPlace(number=2, count=3))
    assert too_small(open_page(tmp_path / "index.html", 375, 812, touch=True)[0]) == []


def test_arrow_keys_walk_the_tree(open_page: Any, written: Path) -> None:
    page, _ = open_page(written, 1440)
    page.locator(".node").first.focus()
    seen = []
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
        seen.append(page.evaluate("document.activeElement.dataset.name"))
    assert seen == ["2-0", "2-1", "1-2", "part 4", "part 3", "1-1", "2-0", "3-0"]


@pytest.mark.parametrize("leaves", [8, 16])
def test_a_tap_on_any_node_shows_both_its_maps(
    open_page: Any, tmp_path: Path, make_pair: Any, evil: str, leaves: int
) -> None:
    pair = make_pair(leaves)
    write_page(pair, tmp_path / "index.html")
    page, wrong = open_page(tmp_path / "index.html", 375, 812, touch=True)
    seen: dict[str, tuple[str, ...]] = {}
    for card in page.locator(".node").all():
        name = card.get_attribute("data-name")
        card.tap()
        assert shown(page) == name
        assert page.locator('.node[aria-pressed="true"]').get_attribute("data-name") == name
        maps = page.locator(MAPS)
        assert all(one.is_visible() and one.evaluate("e => e.complete && e.naturalWidth > 0") for one in maps.all())
        seen[name] = tuple(one.get_attribute("src") for one in maps.all())
    assert sorted(seen) == sorted(node.name for node in pair.nodes)
    without = {evil, "part 2"}
    assert all(len(set(maps)) == (0 if name in without else 2) for name, maps in seen.items())
    assert len(set(seen.values())) == len(pair.nodes) - 1  # those without share that they have none
    assert wrong == []


def test_pictures_and_maps_change_with_the_selection(open_page: Any, written: Path, evil: str) -> None:
    page, wrong = open_page(written, 1440)
    page.uncheck("#on-photos")
    seen = set()
    for name in ("3-0", "2-1", "part 4", "part 7"):
        page.click(f'.node[data-name="{name}"]')
        images = page.locator(".panel.shown .enlarged img:visible")
        sources = [images.nth(i).get_attribute("src") or "" for i in range(images.count())]
        assert len(sources) == 4
        assert all(images.nth(i).evaluate("e => e.complete && e.naturalWidth > 0") for i in range(4))
        seen.add(tuple(sources))
    assert len(seen) == 4
    page.click(f".node >> text={evil[:14]}")
    assert shown(page) == evil
    assert page.locator(".panel.shown .enlarged .absent").count() == 1
    assert wrong == []


def test_maps_lie_over_the_whole_photos_where_the_node_looked(open_page: Any, tmp_path: Path, make_pair: Any) -> None:
    made = make_pair(2)  # its photos are 90 pixels wide and 60 high
    leaf = replace(made.nodes[0], boxes=(Box(30, 0, 60, 30), None))
    write_page(replace(made, nodes=(leaf, *made.nodes[1:])), tmp_path / "index.html")
    page, _ = open_page(tmp_path / "index.html", 1440)
    page.click(f'.node[data-name="{leaf.name}"]')
    (photo, other), (first, second) = box(page, ".panel.shown .whole"), box(page, MAPS)
    assert photo["width"] / photo["height"] == pytest.approx(1.5, rel=0.01)
    assert first["x"] == pytest.approx(photo["x"] + photo["width"] / 3, abs=0.5)
    assert first["y"] == pytest.approx(photo["y"], abs=0.5)
    assert (first["width"], first["height"]) == pytest.approx((photo["width"] / 3, photo["height"] / 2), abs=0.5)
    assert [second[side] for side in ("x", "y", "width", "height")] == pytest.approx(
        [other[side] for side in ("x", "y", "width", "height")], abs=0.5
    )
    page.uncheck("#on-photos")
    assert not page.locator(".panel.shown .whole").first.is_visible()
    assert page.locator(".panel.shown .on-parts .map").first.is_visible()


def test_pointing_shows_a_node_until_the_pointer_leaves(open_page: Any, written: Path) -> None:
    page, _ = open_page(written, 1440, 1600)
    page.hover('.node[data-name="part 5"]')
    assert shown(page) == "part 5"
    page.mouse.move(5, 5)
    assert shown(page) == "3-0"


def test_the_slider_fades_the_maps(open_page: Any, written: Path) -> None:
    page, _ = open_page(written, 1440)
    fade = "e => getComputedStyle(e).opacity"
    assert page.locator(MAPS).first.evaluate(fade) == "0.75"
    page.locator("#opacity").fill("20")
    assert page.locator(MAPS).first.evaluate(fade) == "0.2"
    assert page.locator(".node .map").first.evaluate(fade) == "0.2"
    assert page.locator("#opacity-value").inner_text() == "20 %"
    page.locator("#opacity").press("ArrowRight")
    assert page.locator("#opacity-value").inner_text() == "21 %"


@pytest.mark.parametrize("leaves", [2, 8, 16])
@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (1440, "dark")])
def test_nothing_overlaps_or_runs_over_the_edge(
    open_page: Any, tmp_path: Path, make_pair: Any, leaves: int, width: int, scheme: str
) -> None:
    write_page(make_pair(leaves), tmp_path / "index.html")
    page, wrong = open_page(tmp_path / "index.html", width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # Nor does the panel, which would only scroll in itself.
    assert page.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('.detail'))")
    cards = box(page, ".node")
    for i, a in enumerate(cards):
        for b in cards[i + 1 :]:
            apart_x = a["x"] + a["width"] <= b["x"] + 0.5 or b["x"] + b["width"] <= a["x"] + 0.5
            assert apart_x or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]
    tree = box(page, ".tree")[0]
    assert max(card["x"] + card["width"] for card in cards) <= tree["x"] + tree["width"] + 0.5
    assert max(card["y"] + card["height"] for card in cards) <= tree["y"] + tree["height"] + 0.5
    if width == 1440:
        assert tree["width"] <= 1440
    # What is on a card stays on it, in letters that can be read.
    sizes = page.eval_on_selector_all(".node *", "all => all.map(e => parseFloat(getComputedStyle(e).fontSize))")
    assert min(sizes) >= 11
    assert page.evaluate("[...document.querySelectorAll('.node')].every(e => e.scrollHeight <= e.clientHeight + 1)")
    assert wrong == []


def test_dark_is_dark(open_page: Any, written: Path) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page, _ = open_page(written, 1440, scheme=scheme)
        rgb = re.findall(r"\d+", page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        grounds.append(sum(int(value) for value in rgb[:3]))
    assert grounds[0] > 600
    assert grounds[1] < 150
