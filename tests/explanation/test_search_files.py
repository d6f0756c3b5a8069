import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.explanation.search_files import search_file
from tasks.explanation.search_record import search_json
from tasks.segments.store import SegmentStore, open_store


@pytest.fixture
def copied(grown: Any, tmp_path: Path) -> SegmentStore:
    """The drawings in a folder of their own, with no index beside them."""
    shutil.copytree(grown.store.path, tmp_path / "store")
    return open_store(tmp_path / "store")


def test_a_photo_file_is_searched_for(grown: Any, copied: SegmentStore, tmp_path: Path) -> None:
    row = copied.at([41])[0]
    photo, mask, out = tmp_path / "<script>$x$.png", tmp_path / "mask.png", tmp_path / "a" / "out"
    photo.write_bytes(row.image)
    mask.write_bytes(row.mask)
    found = search_file(grown.trained, copied, photo, mask, "badge", out, decision="own", top=4, decoded=grown.decoded)
    assert sorted(path.name for path in out.iterdir()) == ["search.json", "search.png"]
    assert json.loads((out / "search.json").read_text()) == search_json(found)
    assert found.name == "<script>$x$.png"
    assert found.left_out == (row.image_id,)
    assert len(found.found) == 4
    with Image.open(out / "search.png") as image:
        assert image.format == "PNG"


def test_without_mask_and_segmenter_nothing_is_written(grown: Any, copied: SegmentStore, tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(copied.at([41])[0].image)
    with pytest.raises(InputError, match=r"give --mask$"):
        search_file(
            grown.trained, copied, photo, None, "badge", tmp_path / "out", decision="own", top=4, decoded=grown.decoded
        )
    assert not (tmp_path / "out").exists()
