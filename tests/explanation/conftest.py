"""What the tests of the pages share: made-up pairs, a parser, and Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Frame, Page, sync_playwright

from tasks.explanation.record import AdditiveReading, NodeExplanation, PairExplanation
from tasks.metric.evaluation import Precision

EVIL = """<script>alert("x")</script>'"&<img src=x onerror=alert(1)>"""
SIZE = 40
NOTHING: dict[str, Any] = dict.fromkeys(("snr_distance", "bounded_distance", "percentile", "maps", "bias_share"))
PRECISION = Precision(at={1: 0.84, 2: 0.83, 8: None}, intervals={1: (0.79, 0.88), 2: (0.78, 0.87), 8: None}, n=120)


def disc(y: int, x: int, radius: int, colour: tuple[int, int, int]) -> np.ndarray:
    """A coloured disc on black, uint8 [3, h, w]."""
    down, across = np.mgrid[:SIZE, :SIZE]
    inside = (down - y) ** 2 + (across - x) ** 2 <= radius**2
    return (np.array(colour)[:, None, None] * inside).astype(np.uint8)


def node(name: str, at: int, children: tuple[NodeExplanation, ...] = (), **changes: Any) -> NodeExplanation:
    """A node whose pictures and maps depend on `at`."""
    y, x = 4 + (at * 7) % 32, 4 + (at * 11) % 32
    pictures = disc(y, x, 6 + at % 5, (200, 40 + 5 * at, 90)), disc(x, y, 5, (40, 200, 90))
    level = 1 + max((child.level for child in children), default=-1)
    # So that no two nodes of a tree have the same maps.
    faded = 1 - level / 10
    defaults: dict[str, Any] = {
        "name": name,
        "segments": sum((child.segments for child in children), ()) or (name,),
        "children": tuple(child.name for child in children),
        "level": level,
        "status": "trained",
        "present": (True, True),
        "snr_distance": 0.4,
        "bounded_distance": round(0.05 + at / 40, 3),
        "percentile": 17.0,
        "precision": PRECISION,
        "composed": pictures,
        "maps": tuple((faded * picture.max(0) / 255).astype(np.float32) for picture in pictures),
        "bias_share": (0.04, 0.07),
    }
    return NodeExplanation(**(defaults | changes))


def pair(leaves: int) -> PairExplanation:
    """A tree of 2, 4, 8 or 16 leaves; of four or more, one is absent in A and one has no model."""
    row = [node(f"part {i}", i) for i in range(leaves)]
    if leaves > 2:
        row[1] = node(EVIL, 1, present=(False, True), **NOTHING)
        row[2] = node("part 2", 2, status="degenerate", precision=Precision.none(3), **NOTHING)
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

    def addresses(self) -> list[str]:
        """Of all that an element loads or leads to, but for data: and places on the page."""
        names = ("src", "href", "srcset", "action", "data", "poster")
        found = (attributes.get(name) for _, attributes in self.elements for name in names)
        return [value for value in found if value is not None and not value.startswith(("data:", "#"))]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="session")
def evil() -> str:
    """A name that would run, were it not shown as text."""
    return EVIL


@pytest.fixture(scope="session")
def nothing() -> dict[str, Any]:
    """The fields of a node without a distance."""
    return NOTHING


@pytest.fixture(scope="session")
def make_node() -> Callable[..., NodeExplanation]:
    return node


@pytest.fixture(scope="session")
def make_pair() -> Callable[[int], PairExplanation]:
    return pair


@pytest.fixture(scope="session")
def parse() -> Callable[[Path], Parsed]:
    return Parsed


@pytest.fixture(scope="module")  # it runs an event loop, beside which tests of other modules could not run theirs
def running_browser() -> Iterator[Callable[[], Browser]]:
    """Gives the browser, started anew where it has ended of itself."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no Chromium: install one or name it in CHROMIUM")
    with sync_playwright() as playwright:
        started: list[Browser] = []

        def running() -> Browser:
            if not started or not started[-1].is_connected():
                started.append(playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]))
            return started[-1]

        yield running
        for browser in started:
            browser.close()


@pytest.fixture
def browser(running_browser: Callable[[], Browser]) -> Browser:
    return running_browser()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., tuple[Page, list[str]]]]:
    """Opens a file in a window. With it comes what goes wrong: anything in the console, any request but for files
    of the folder that it lies in."""
    contexts = []

    def opened(
        path: Path, width: int, height: int = 900, scheme: Any = "light", touch: bool = False
    ) -> tuple[Page, list[str]]:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=touch)
        contexts.append(context)
        page = context.new_page()
        wrong = watch(page, (path.parent.as_uri() + "/",))
        page.goto(path.as_uri())
        return page, wrong

    yield opened
    for context in contexts:
        context.close()


def watch(page: Page, inside: tuple[str, ...]) -> list[str]:
    """What goes wrong on a page from now on, where `inside` are the beginnings of addresses that it may ask for."""
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on(
        "request",
        lambda request: wrong.append(request.url) if not request.url.startswith(("data:", *inside)) else None,
    )
    return wrong


SMALL = """[...document.querySelectorAll("a, button, input")].filter(e => {
  const { width, height } = e.getBoundingClientRect();
  return e.checkVisibility({ visibilityProperty: true }) && Math.min(width, height) < 24;
}).map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="session")
def too_small() -> Callable[[Page], list[str]]:
    """What is there for a finger, and smaller than 24 x 24 pixels (WCAG 2.2, AA)."""
    return lambda page: list(page.evaluate(SMALL))


VIEW = "http://127.0.0.1/"
# As MLflow 3.17 shows HTML files, in the size that a window of 1440 x 900 leaves for it.
FRAME = """html => {
  const frame = document.createElement("iframe");
  frame.src = URL.createObjectURL(new Blob([html], { type: "text/html" }));
  frame.sandbox = "allow-scripts";
  frame.width = 625;
  frame.height = 668;
  document.body.append(frame);
}"""
AROUND = "<!doctype html><link rel=icon href=data:,>"


@pytest.fixture
def open_in_frame(browser: Browser) -> Iterator[Callable[[Path], tuple[Frame, list[str]]]]:
    """Shows a file as MLflow's artifact view does; with it comes what goes wrong, as for `open_page`."""
    context = browser.new_context(viewport={"width": 800, "height": 800})
    context.route(VIEW, lambda route: route.fulfill(content_type="text/html", body=AROUND))

    def opened(path: Path) -> tuple[Frame, list[str]]:
        page = context.new_page()
        wrong = watch(page, (VIEW, f"blob:{VIEW}"))
        page.goto(VIEW)
        page.evaluate(FRAME, path.read_text(encoding="utf-8"))
        frame = page.wait_for_selector("iframe").content_frame()
        assert frame is not None
        frame.wait_for_selector("main")
        return frame, wrong

    yield opened
    context.close()
