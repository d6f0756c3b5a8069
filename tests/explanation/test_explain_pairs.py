import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.explanation.explain_pairs import explain_pairs
from tasks.explanation.explain_photos import EXPLANATION_FILES, explain_photos
from tasks.explanation.pair_table import read_pair_table


@pytest.fixture
def table(tmp_path: Path, grown: Any) -> Path:
    """Two pairs of validation drawings with their masks, the first with labels."""
    for name, row in zip("abc", grown.store.iterate("validation"), strict=False):
        (tmp_path / f"{name}.png").write_bytes(row.image)
        (tmp_path / f"{name}-mask.png").write_bytes(row.mask)
    (tmp_path / "pairs.csv").write_text(
        "photo_a,photo_b,mask_a,mask_b,label_a,label_b\n"
        "a.png,b.png,a-mask.png,b-mask.png,day,night\n"
        "c.png,a.png,c-mask.png,a-mask.png,,\n"
    )
    return tmp_path / "pairs.csv"


def test_every_pair_has_its_page_and_the_list_leads_there(table: Path, grown: Any, parse: Any) -> None:
    out = table.parent / "out"
    explanations = list(explain_pairs(grown.trained, read_pair_table(table), out))
    assert sorted(path.name for path in out.iterdir()) == ["001", "002", "index.html"]
    assert parse(out / "index.html").addresses() == ["001/index.html", "002/index.html"]
    assert parse(out / "002" / "index.html").addresses() == ["../index.html", "../001/index.html"]
    # Each is what its two photos alone come to.
    photos = table.parent / "c.png", table.parent / "a.png"
    masks = table.parent / "c-mask.png", table.parent / "a-mask.png"
    alone = explain_photos(grown.trained, photos, masks, table.parent / "alone")
    assert alone.distance == explanations[1].distance
    for name in EXPLANATION_FILES[:2]:
        assert (out / "002" / name).read_bytes() == (table.parent / "alone" / name).read_bytes()
    told = json.loads((out / "001" / "explanation.json").read_text(encoding="utf-8"))
    assert [photo["label"] for photo in told["photos"]] == ["day", "night"]
    text = parse(out / "index.html").text
    assert "a.png day" in text and "b.png night" in text
    assert "Their labels differ." in parse(out / "001" / "index.html").text


def test_a_photo_that_cannot_be_read_is_named_by_its_row_and_loses_nothing(table: Path, grown: Any, parse: Any) -> None:
    out = table.parent / "out"
    rows = read_pair_table(table)
    (table.parent / "c.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"^pairs\.csv, line 3: .*c\.png"):
        list(explain_pairs(grown.trained, rows, out))
    assert (out / "001" / "index.html").is_file()
    assert parse(out / "index.html").addresses() == ["001/index.html"]
    assert not (out / "002").exists()


def test_a_first_row_that_cannot_be_read_leaves_what_an_earlier_run_wrote(table: Path, grown: Any) -> None:
    out = table.parent / "out"
    list(explain_pairs(grown.trained, read_pair_table(table), out))
    written = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert len(written) == 7
    (table.parent / "a-mask.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"^pairs\.csv, line 2: .*a-mask\.png"):
        list(explain_pairs(grown.trained, read_pair_table(table), out))
    assert {path: path.read_bytes() for path in written} == written


def test_a_row_without_a_mask_needs_a_segmenter(table: Path, grown: Any) -> None:
    table.write_text("photo_a,photo_b\na.png,b.png\n")
    with pytest.raises(InputError, match=r"^pairs\.csv, line 2: .*segmenter"):
        list(explain_pairs(grown.trained, read_pair_table(table), table.parent / "out"))
    assert not (table.parent / "out").exists()
