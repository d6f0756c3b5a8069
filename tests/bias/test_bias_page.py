import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.bias.bias_page import headline, largest_drop, node_views, write_bias_page
from tasks.segments.tree import balanced_tree


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (60, 80), 90).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("shortcuts", "said"),
    [
        ([], "No shortcut found"),
        (["cloth"], "cloth is a shortcut"),
        (["cloth", "hat"], "2 shortcuts: cloth, hat"),
    ],
)
def test_the_headline_says_what_was_found(shortcuts: list[str], said: str) -> None:
    assert headline(shortcuts) == said


def test_the_largest_drop_is_the_one_that_the_score_names(make_report: Any) -> None:
    report = make_report()
    found = largest_drop(report)
    assert found is not None
    # 0.953 over all training photos, 0.506 within the group blue: more than the drop to 0.641.
    assert found.value == pytest.approx(0.953 - 0.506) == report.segments[0].score
    assert found.what == "look of cloth, to the group blue"
    ungrouped = largest_drop(make_report(grouped=False))
    assert ungrouped is not None
    assert ungrouped.what == "look of cloth, to validation photos"
    bare = [replace(segment, look=None, presence=None) for segment in report.segments]
    assert largest_drop(replace(report, segments=tuple(bare))) is None


def test_nodes_know_their_leaves_shortcuts_and_flips(make_report: Any) -> None:
    nodes = {node.name: node for node in node_views(make_report())}
    assert nodes["low"].leaves == ("cloth", "wall")
    assert [node.name for node in nodes.values() if node.shortcuts] == ["cloth", "low", "root"]
    assert [found.segment for found in nodes["root"].what_if] == ["cloth", "hair", "hat"]
    assert nodes["wall"].what_if == ()


def test_what_the_page_says(tmp_path: Path, parse: Any, make_report: Any) -> None:
    write_bias_page(make_report(), {"cloth": png()}, tmp_path / "bias.html")
    parsed = parse(tmp_path / "bias.html")
    for said in (
        "cloth is a shortcut",
        "400 training and 200 validation photos of 2 labels (man, woman). Grouped by their group in the data.",
        "composed of its leaves) 0.778 95 %: 0.730 to 0.820",
        "P@1 of the worst group: man, red 0.580 gap to the mean 0.198, 95 %: 0.110 to 0.270",
        "Largest drop: look of cloth, to the group blue 0.447",
        "Its look tells the label over all, and not within the group blue.",
        "0.953 → to 0.641 drop 0.312 ⚑ alarm",
        "man red ▼ worst 50 0.580 0.520 to 0.630",
        "hat no model",
        "cloth 41 % 36 % to 46 % 3 % 0 % to 8 %",
        "train man blue 100 98 %",
        "From group to label 0.083 0.021 to 0.144 more than in the data: amplified",
        "5 % over all parts together (Holm)",
        "new training samples in which cloth is another photo's",
    ):
        assert said in parsed.text
    assert parsed.text.count("▼ worst") == 1
    assert parsed.addresses() == []
    assert len(parsed.all("img", alt="alike by cloth", src="data:image/webp")) == 1
    assert len(parsed.all("button")) == 7


def test_no_shortcut_and_no_groups(tmp_path: Path, parse: Any, make_report: Any) -> None:
    write_bias_page(make_report(flagged=(), grouped=False), {}, tmp_path / "bias.html")
    text = parse(tmp_path / "bias.html").text
    assert "No shortcut found" in text
    assert "does not prove that there is no shortcut" in text
    for left_out in ("⚑", "worst group", "P@1 by label and group", "Synthetic", "Bias amplification", "within a group"):
        assert left_out not in text


def test_a_part_that_gives_the_label_away_is_told_though_nothing_drops(
    tmp_path: Path, parse: Any, make_report: Any
) -> None:
    report = make_report(flagged=())
    told = tuple(replace(found, label_function=found.segment == "hair") for found in report.segments)
    write_bias_page(replace(report, segments=told), {}, tmp_path / "bias.html")
    assert "The presence of hair alone gives the label away" in parse(tmp_path / "bias.html").text


def test_names_are_shown_as_text(tmp_path: Path, parse: Any, make_report: Any, evil: str) -> None:
    report = make_report(balanced_tree([evil, "cloth's", f"2{evil}", "wall"]), flagged=(f"2{evil}",))
    write_bias_page(replace(report, source=evil), {f"2{evil}": png()}, tmp_path / "bias.html")
    parsed = parse(tmp_path / "bias.html")
    assert f"2{evil} is a shortcut" in parsed.text
    assert f"Bias audit of {evil}" in parsed.text
    assert sum(tag == "script" for tag, _ in parsed.elements) == 1
    assert len(parsed.all("img")) == 1
    assert not [attributes for _, attributes in parsed.elements if any(name.startswith("on") for name in attributes)]


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (1440, "dark")])
def test_in_a_browser(tmp_path: Path, width: int, scheme: str, open_page: Any, make_report: Any, evil: str) -> None:
    leaves = ["hat", evil, "cloth", *(f"part {i}" for i in range(13))]
    write_bias_page(make_report(balanced_tree(leaves)), {"cloth": png()}, tmp_path / "bias.html")
    page, wrong = open_page(tmp_path / "bias.html", width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.click('.node[data-name="cloth"]')
    panel = page.locator(".panel.shown")
    assert panel.locator("h3").inner_text() == "cloth"
    assert panel.locator(".shares").inner_text() == "41 % / 3 %".replace(" %", "\N{NO-BREAK SPACE}%")
    page.keyboard.press("ArrowUp")
    assert "cloth" in panel.locator(".segments").inner_text()
    assert panel.locator("li").count() == 2
    # The shortcut, and the four nodes above it.
    assert page.locator(".node .mark[title], .node .flagged").count() == 5
    assert wrong == []


@pytest.mark.browser
def test_in_mlflow_s_artifact_view(tmp_path: Path, open_in_frame: Any, make_report: Any) -> None:
    write_bias_page(make_report(flagged=()), {}, tmp_path / "bias.html")
    frame, wrong = open_in_frame(tmp_path / "bias.html")
    before = frame.evaluate("scrollY")
    frame.locator('a[href="#how-title"]').click()
    assert frame.evaluate("scrollY") > before
    assert wrong == []


def test_groups_of_too_few_photos_have_no_figures(tmp_path: Path, parse: Any, make_report: Any) -> None:
    write_bias_page(replace(make_report(), groups=None, amplification=None), {}, tmp_path / "bias.html")
    text = parse(tmp_path / "bias.html").text
    assert "P@1 of the worst group" not in text and "P@1 by label and group" not in text
    assert "Grouped by their group in the data." in text
