import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tasks.explanation.explanation_json import explanation_json
from tasks.explanation.page import write_page
from tasks.explanation.record import AdditiveReading, NodeExplanation, PairExplanation

EVIL = """<script>alert("x")</script>'"&<img src=x onerror=alert(1)>"""
SIZE = 40


def disc(y: int, x: int, radius: int, colour: tuple[int, int, int]) -> np.ndarray:
    """A coloured disc on black, uint8 [3, h, w]."""
    down, across = np.mgrid[:SIZE, :SIZE]
    inside = (down - y) ** 2 + (across - x) ** 2 <= radius**2
    return (np.array(colour)[:, None, None] * inside).astype(np.uint8)


def node(name: str, at: int, children: tuple[NodeExplanation, ...] = (), **changes: Any) -> NodeExplanation:
    """A node whose pictures and maps depend on `at`."""
    y, x = 4 + (at * 7) % 32, 4 + (at * 11) % 32
    pictures = disc(y, x, 6 + at % 5, (200, 40 + 5 * at, 90)), disc(x, y, 6, (40, 200, 90))
    defaults: dict[str, Any] = {
        "name": name,
        "segments": sum((child.segments for child in children), ()) or (name,),
        "children": tuple(child.name for child in children),
        "level": 1 + max((child.level for child in children), default=-1),
        "status": "trained",
        "present": (True, True),
        "snr_distance": 0.4,
        "bounded_distance": round(0.05 + at / 40, 3),
        "percentile": 17.0,
        "precision_at_1": 0.84,
        "precision_at_1_interval": (0.79, 0.88),
        "composed": pictures,
        "maps": tuple((picture.max(0) / 255).astype(np.float32) for picture in pictures),
        "bias_share": (0.04, 0.07),
    }
    return NodeExplanation(**(defaults | changes))


NOTHING: dict[str, Any] = dict.fromkeys(("snr_distance", "bounded_distance", "percentile", "maps", "bias_share"))


def explanation(leaves: int) -> PairExplanation:
    """A tree of 2, 4, 8 or 16 leaves; of four or more, one is absent in A and one has no model."""
    row = [node(f"part {i}", i) for i in range(leaves)]
    if leaves > 2:
        row[1] = node(EVIL, 1, present=(False, True), **NOTHING)
        row[2] = node("part 2", 2, status="degenerate", precision_at_1=None, precision_at_1_interval=None, **NOTHING)
    nodes = list(row)
    while len(row) > 1:
        row = [node(f"{a.level + 1}-{i}", i, (a, b)) for i, (a, b) in enumerate(zip(row[::2], row[1::2], strict=True))]
        nodes += row
    photo = np.random.default_rng(0).integers(0, 256, (3, 60, 90), dtype=np.uint8)
    terms = {leaf.name: 0.1 * i for i, leaf in enumerate(nodes[:leaves])}
    total = sum(terms.values())
    return PairExplanation(
        photos=(photo, photo[:, ::-1]),
        names=(EVIL, "b.jpg"),
        labels=(EVIL, "woman"),
        nodes=tuple(nodes),
        additive=AdditiveReading(
            terms=terms,
            weights={"hair": 0.5, "hat": 0.5},
            total=total,
            root_distance=0.9,
            predicted_root_distance=0.8,
            residual=0.1,
            r_squared=0.62,
            rank_correlation=0.7,
            pairs=1225,
        ),
    )


class Parsed(HTMLParser):
    """Elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._raw = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._raw = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.texts.append(data)

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        found = (attrs for name, attrs in self.elements if name == tag)
        return [attrs for attrs in found if all(value in (attrs.get(key) or "") for key, value in wanted.items())]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture
def parsed(tmp_path: Path) -> Parsed:
    write_page(explanation(8), tmp_path / "index.html")
    return Parsed(tmp_path / "index.html")


def test_nothing_is_fetched(parsed: Parsed) -> None:
    for tag, attributes in parsed.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    assert {tag for tag, _ in parsed.elements}.isdisjoint({"iframe", "object", "embed", "base", "form"})
    assert len(parsed.all("link")) == 1


def test_styles_fetch_nothing_and_the_policy_forbids_it(tmp_path: Path) -> None:
    write_page(explanation(2), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"url\(|@import|https?://", page) == []
    assert "default-src 'none'; img-src data:;" in page


def test_names_are_shown_as_text(parsed: Parsed) -> None:
    assert len(parsed.all("script")) == 1
    assert all(attributes.get("src") != "x" for attributes in parsed.all("img"))
    assert all("onerror" not in attributes for _, attributes in parsed.elements)
    # The name of photo A, its label, and the name of a part.
    assert parsed.text.count("<script>alert") >= 4
    assert any(attributes.get("data-name") == EVIL for attributes in parsed.all("button"))


def test_a_name_that_is_no_text_does_not_stop_the_page(tmp_path: Path) -> None:
    pair = replace(explanation(2), names=("a\udcff.jpg", "{{ 7 * 7 }}.jpg"))
    write_page(pair, tmp_path / "index.html")
    text = Parsed(tmp_path / "index.html").text
    assert "a?.jpg" in text
    assert "{{ 7 * 7 }}.jpg" in text


@pytest.mark.parametrize("leaves", [2, 8, 16])
def test_every_node_is_a_button_with_its_panel(tmp_path: Path, leaves: int) -> None:
    pair = explanation(leaves)
    write_page(pair, tmp_path / "index.html")
    parsed = Parsed(tmp_path / "index.html")
    buttons = parsed.all("button", class_="node")
    assert sorted(str(button["data-name"]) for button in buttons) == sorted(n.name for n in pair.nodes)
    panels = {attributes["id"] for attributes in parsed.all("article")}
    assert {button["aria-controls"] for button in buttons} == panels
    assert [button["data-name"] for button in buttons if button["aria-pressed"] == "true"] == [pair.root.name]
    # Each picture is in the file once: two a node that has its part, two maps where there is a distance, two photos.
    shown = sum(sum(n.present) for n in pair.nodes) + 2 * sum(n.maps is not None for n in pair.nodes) + 2
    assert len(parsed.all("img", src="data:image/")) == shown


def test_the_headline_and_the_words(parsed: Parsed) -> None:
    root = explanation(8).root
    assert root.bounded_distance == 0.05
    assert "Why are these two alike?" in parsed.text
    assert "0.95 similarity" in parsed.text
    assert "closer than 83 % of validation pairs" in parsed.text
    assert "0.84 95 %: 0.79 to 0.88" in parsed.text
    assert "absent in A" in parsed.text
    assert "no model" in parsed.text
    assert "Degenerate: this node was not trained" in parsed.text
    assert "Their labels differ." in parsed.text
    assert "explains 62 % of how the root's distance varies" in parsed.text


def test_bars_add_up_to_the_chart(parsed: Parsed) -> None:
    bars = [str(a["style"]) for _, a in parsed.elements if re.match(r"left:[\d.]+%;width:", a.get("style") or "")]
    assert len(bars) == 8
    reached = 0.0
    for style in bars:
        left, width = (float(number) for number in re.findall(r"([\d.]+)%", style))
        assert left == pytest.approx(reached, abs=0.02)
        reached = left + width
    assert reached == pytest.approx(100, abs=0.05)


def test_leaves_are_listed_from_most_to_least_alike(tmp_path: Path) -> None:
    # Percentiles fall where distances rise: distances of two nodes do not compare.
    made = explanation(8)
    nodes = tuple(
        node if node.percentile is None else replace(node, percentile=90.0 - i) for i, node in enumerate(made.nodes)
    )
    write_page(replace(made, nodes=nodes), tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    strip = page[page.index('<ol class="strip">') : page.index("</ol>")]
    names = re.findall(r'<b class="name" title="([^"]*)"', strip)
    assert names[:6] == [f"part {i}" for i in (7, 6, 5, 4, 3, 0)]
    assert len(names) == 8
    assert "part 7 (farthest 17 %), then part 6 (farthest 16 %). Least alike: part 0 (farthest 10 %)." in " ".join(
        re.sub(r"<[^>]+>", "", page).replace("\N{NO-BREAK SPACE}", " ").split()
    )


def test_a_pair_without_any_distance_has_a_page(tmp_path: Path) -> None:
    leaves = node("a", 0, present=(False, False), **NOTHING), node("b", 1, status="degenerate", **NOTHING)
    root = node("all", 2, leaves, status="degenerate", **NOTHING)
    write_page(replace(explanation(2), nodes=(*leaves, root), additive=None), tmp_path / "index.html")
    text = Parsed(tmp_path / "index.html").text
    assert "There is no overall similarity: all has no model." in text
    assert "absent in both" in text
    assert "There is no additive reading" in text


def test_one_node_is_a_tree_too(tmp_path: Path) -> None:
    write_page(replace(explanation(2), nodes=(node("all", 0),), additive=None), tmp_path / "index.html")
    assert len(Parsed(tmp_path / "index.html").all("button")) == 1


def test_json_is_strict_and_holds_no_pixels() -> None:
    pair = explanation(4)
    assert pair.additive is not None
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
    assert read["nodes"][1]["bounded_distance"] is None
    assert read["additive"]["rank_correlation"] is None
    assert read["photos"][0] == {"name": EVIL, "label": EVIL, "height": 60, "width": 90}
    assert read["similarity"] == pytest.approx(0.95)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no Chromium: install one or name it in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(
    browser: Browser, path: Path, width: int, height: int = 900, scheme: Any = "light"
) -> tuple[Page, list[str]]:
    """The page in a window, and what goes wrong there: anything in its console, any request but its own file."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("request", lambda request: wrong.append(request.url) if outside(request.url, path) else None)
    page.goto(path.as_uri())
    return page, wrong


def outside(url: str, path: Path) -> bool:
    return not url.startswith("data:") and url != path.as_uri()


def box(page: Page, selector: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = page.eval_on_selector_all(
        selector, "all => all.map(e => e.getBoundingClientRect().toJSON())"
    )
    return found


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_page(explanation(8), tmp_path / "index.html")
    return tmp_path / "index.html"


@pytest.mark.browser
def test_keys_reach_every_node_and_show_its_panel(browser: Browser, written: Path) -> None:
    page, wrong = opened(browser, written, 1440)
    visited = []
    # Two more than the nodes: the slider and the tree's scrolling field may come between. Then the way back.
    for key in ["Tab"] * (15 + 2) + ["Shift+Tab"] * 14:
        page.keyboard.press(key)
        name = page.evaluate("document.activeElement.dataset.name ?? null")
        if name is not None:
            visited.append(name)
            assert page.locator(".panel.shown h3").inner_text() == name
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            # The panel that stays on top must not hide the card in focus.
            card = page.evaluate("document.activeElement.getBoundingClientRect().top")
            assert card >= page.evaluate("document.querySelector('.detail').getBoundingClientRect().bottom") - 1
    assert sorted(visited[:15]) == sorted(n.name for n in explanation(8).nodes)
    assert wrong == []
    page.close()


@pytest.mark.browser
def test_arrow_keys_walk_the_tree(browser: Browser, written: Path) -> None:
    page, _ = opened(browser, written, 1440)
    page.locator(".node").first.focus()
    seen = []
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
        seen.append(page.evaluate("document.activeElement.dataset.name"))
    assert seen == ["2-0", "2-1", "1-2", "part 4", "part 3", "1-1", "2-0", "3-0"]
    page.close()


@pytest.mark.browser
def test_pictures_and_maps_change_with_the_selection(browser: Browser, written: Path) -> None:
    page, wrong = opened(browser, written, 1440)
    seen = set()
    for name in ("3-0", "2-1", "part 4", "part 7"):
        page.click(f'.node[data-name="{name}"]')
        images = page.locator(".panel.shown .enlarged img")
        sources = [images.nth(i).get_attribute("src") or "" for i in range(images.count())]
        assert len(sources) == 4
        assert all(images.nth(i).evaluate("e => e.complete && e.naturalWidth > 0") for i in range(4))
        seen.add(tuple(sources))
        assert page.locator('.node[aria-pressed="true"]').get_attribute("data-name") == name
    assert len(seen) == 4
    page.click(f".node >> text={EVIL[:14]}")
    assert page.locator(".panel.shown h3").inner_text() == EVIL
    assert page.locator(".panel.shown .enlarged .absent").count() == 1
    assert wrong == []
    page.close()


@pytest.mark.browser
def test_pointing_shows_a_node_until_the_pointer_leaves(browser: Browser, written: Path) -> None:
    page, _ = opened(browser, written, 1440, 1600)
    page.hover('.node[data-name="part 5"]')
    assert page.locator(".panel.shown h3").inner_text() == "part 5"
    page.mouse.move(5, 5)
    assert page.locator(".panel.shown h3").inner_text() == "3-0"
    page.close()


@pytest.mark.browser
def test_the_slider_fades_the_maps(browser: Browser, written: Path) -> None:
    page, _ = opened(browser, written, 1440)
    fade = "e => getComputedStyle(e).opacity"
    assert page.locator(".panel.shown .map").first.evaluate(fade) == "0.75"
    page.locator("#opacity").fill("20")
    assert page.locator(".panel.shown .map").first.evaluate(fade) == "0.2"
    assert page.locator(".node .map").first.evaluate(fade) == "0.2"
    assert page.locator("#opacity-value").inner_text() == "20 %"
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("leaves", [2, 8, 16])
@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (1440, "dark")])
def test_nothing_overlaps_or_runs_over_the_edge(
    browser: Browser, tmp_path: Path, leaves: int, width: int, scheme: str
) -> None:
    write_page(explanation(leaves), tmp_path / "index.html")
    page, wrong = opened(browser, tmp_path / "index.html", width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
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
        # What is on a card stays on it.
        assert page.evaluate("[...document.querySelectorAll('.node')].every(e => e.scrollHeight <= e.clientHeight + 1)")
    assert wrong == []
    page.close()


@pytest.mark.browser
def test_dark_is_dark(browser: Browser, written: Path) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page, _ = opened(browser, written, 1440, scheme=scheme)
        rgb = re.findall(r"\d+", page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        grounds.append(sum(int(value) for value in rgb[:3]))
        page.close()
    assert grounds[0] > 600
    assert grounds[1] < 150
