import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.explanation.explanation_json import explanation_json
from tasks.explanation.page import write_page
from tasks.explanation.pair_list import write_pair_list
from tasks.explanation.pair_place import PairPlace
from tasks.explanation.pair_table import PairRow
from tasks.explanation.record import PairExplanation
from tasks.segments.pictures import encode_image

# A file's name can hold all of it but the slash of an end tag.
EVIL = """<script>alert("x")<img src=x onerror=alert(1)>'"&.png"""
# Of the line with the link in focus.
OUTLINE = """() => {
  const line = document.activeElement.closest("tbody tr");
  return line && getComputedStyle(line).outlineStyle;
}"""
LABELS = (("man", "woman"), ("<b>man", None), (None, None), (None, None))


@pytest.fixture
def listed(tmp_path: Path, make_pair: Any, nothing: dict[str, Any]) -> Path:
    """A list of four pairs with their pages; the last pair has no distance at all."""
    names = (("a10.png", EVIL), ("a9.png", "b.png"), (EVIL, "c.png"), ("d.png", "a10.png"))
    for number, name in enumerate({name for pair in names for name in pair}):
        (tmp_path / name).write_bytes(encode_image(np.full((3, 30, 40), 20 * number, dtype=np.uint8)))
    rows = [
        PairRow(
            where="",
            place=PairPlace(number=number, count=len(names)),
            photos=(tmp_path / first, tmp_path / second),
            masks=(None, None),
            labels=LABELS[number - 1],
        )
        for number, (first, second) in enumerate(names, start=1)
    ]
    for row, explanation in zip(rows, explanations(make_pair, nothing), strict=True):
        folder = tmp_path / "out" / row.place.folder
        folder.mkdir(parents=True)
        (folder / "explanation.json").write_text(json.dumps(explanation_json(explanation)), encoding="utf-8")
        write_page(explanation, folder / "index.html", row.place)
    write_pair_list(rows, tmp_path / "out")
    return tmp_path / "out" / "index.html"


def explanations(make_pair: Callable[[int], PairExplanation], nothing: dict[str, Any]) -> list[PairExplanation]:
    """Similarities 0.5, 0.9, 0.7 and none; the parts that differ most are 1, 0, 1 and none."""
    made = []
    for distance, percentiles in ((0.5, (10, 20)), (0.1, (90, 20)), (0.3, (60, 95))):
        pair = make_pair(2)
        first, second, root = pair.nodes
        nodes = replace(first, percentile=percentiles[0]), replace(second, percentile=percentiles[1])
        made.append(replace(pair, nodes=(*nodes, replace(root, bounded_distance=distance, percentile=100 * distance))))
    pair = make_pair(2)
    return [*made, replace(pair, nodes=tuple(replace(node, **nothing) for node in pair.nodes), additive=None)]


def test_every_pair_is_listed_in_order_with_what_it_came_to(listed: Path, parse: Any) -> None:
    parsed = parse(listed)
    assert parsed.addresses() == [f"00{number}/index.html" for number in (1, 2, 3, 4)]
    assert all((listed.parent / address).is_file() for address in parsed.addresses())
    page = listed.read_text(encoding="utf-8")
    rows = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in page.split('<tr role="row">')[2:]]
    assert rows[1].startswith("2 a9.png &lt;b&gt;man b.png 0.900 closest 10 % part 0 farthest 10 %")
    assert rows[2].endswith("c.png 0.700 closest 30 % part 1 farthest 5 %")
    assert "none none none" in rows[3]
    assert len(parsed.all("img", src="data:image/webp")) == 8


def test_names_and_labels_are_shown_as_text(listed: Path, parse: Any) -> None:
    parsed = parse(listed)
    assert len(parsed.all("script")) == 1
    assert all("onerror" not in attributes for _, attributes in parsed.elements)
    assert parsed.text.count("<script>alert") == 2
    assert "<b>man" in parsed.text


def order(page: Any) -> list[int]:
    return [int(text) for text in page.locator("tbody th a").all_inner_texts()]


@pytest.mark.browser
def test_a_column_s_head_sorts_by_it_and_back(listed: Path, open_page: Any) -> None:
    page, wrong = open_page(listed, 1440)
    assert order(page) == [1, 2, 3, 4]
    # The third name begins with "<"; a9 comes before a10; equals stay as they are; what has no value stays at the end.
    expected = {
        "photo A": ([3, 2, 1, 4], [4, 1, 2, 3]),
        "similarity": ([1, 3, 2, 4], [2, 3, 1, 4]),
        "among validation pairs": ([2, 3, 1, 4], [1, 3, 2, 4]),
        "most different part": ([2, 1, 3, 4], [1, 3, 2, 4]),
        "pair": ([1, 2, 3, 4], [4, 3, 2, 1]),
    }
    for head, (up, down) in expected.items():
        button = page.get_by_role("button", name=head, exact=True)
        button.click()
        assert order(page) == up, head
        assert page.locator("[aria-sort=ascending]").all_inner_texts() == [head]
        button.press("Enter")
        assert order(page) == down, head
        assert page.locator("[aria-sort=descending]").all_inner_texts() == [head]
        assert page.locator("[aria-sort=ascending]").count() == 0
    assert wrong == []


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (1440, "dark")])
def test_from_the_list_to_a_pair_by_keys_and_on_and_back(
    listed: Path, open_page: Any, width: int, scheme: str, too_small: Any
) -> None:
    page, wrong = open_page(listed, width, scheme=scheme)
    assert too_small(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent"))
        line = page.evaluate(OUTLINE)
        assert line in (None, "solid")
    assert reached == [
        *("pair", "photo A", "photo B", "similarity", "among validation pairs", "most different part"),
        *("1", "2", "3", "4"),
    ]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/003/index.html")
    page.get_by_role("link", name="next").click()
    page.wait_for_url("**/004/index.html")
    assert page.get_by_role("link", name="next").count() == 0
    page.get_by_role("link", name="previous").click()
    page.wait_for_url("**/003/index.html")
    page.get_by_role("link", name="All pairs").click()
    page.wait_for_url("**/out/index.html")
    # All of a line is its link.
    picture = page.locator("tbody tr").nth(1).locator("img").first
    picture.scroll_into_view_if_needed()
    place = picture.bounding_box()
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.wait_for_url("**/002/index.html")
    assert wrong == []


@pytest.mark.browser
def test_in_mlflow_s_artifact_view(listed: Path, open_in_frame: Any) -> None:
    frame, wrong = open_in_frame(listed)
    frame.get_by_role("button", name="similarity").click()
    assert order(frame) == [1, 3, 2, 4]
    # From there no link leads to another file, and the page says so.
    frame.locator("tbody th a").first.click()
    assert frame.locator("#alone").is_visible()
    assert wrong == []


@pytest.mark.browser
def test_outside_of_it_no_notice_is_shown(listed: Path, open_page: Any) -> None:
    page, _ = open_page(listed, 1440)
    assert not page.locator("#alone").is_visible()
