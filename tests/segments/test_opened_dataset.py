from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.segments.opened_dataset import filled, named_classes, one_column, open_dataset, own_folders, texts

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def no_shared_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def written(path: Path, labels: list[str | None]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    masks = [{"bytes": label and label.encode(), "path": None} for label in labels]
    pq.write_table(pa.table({"label": labels, "mask": masks}), path)
    return path


def test_it_is_opened_once_unless_its_file_has_changed(tmp_path: Path) -> None:
    name = str(written(tmp_path / "sky.parquet", ["day", "night"]))
    first = open_dataset(name, None, None, ("label",))
    assert open_dataset(name, None, None, ("label",)) is first
    written(tmp_path / "sky.parquet", ["day", "night", "dusk"])
    second = open_dataset(name, None, None, ("label",))
    assert (len(first.tables["train"]), len(second.tables["train"])) == (2, 3)
    assert first.version != second.version


def test_columns_are_read_by_split(tmp_path: Path) -> None:
    written(tmp_path / "sky" / "train.parquet", ["day", None])
    written(tmp_path / "sky" / "test.parquet", ["night"])
    opened = open_dataset(str(tmp_path / "sky"), None, None, ("label", "mask"))
    assert opened.own_splits and list(opened.tables) == ["train", "validation"]
    assert texts(opened, "train", "label") == ["day", ""]
    assert texts(opened, "validation", None) == [""]
    assert one_column(opened, "validation", "label")[0] == {"label": "night"}
    assert filled(opened, "mask") == {"train": [True, False], "validation": [True]}
    assert named_classes(opened) == {}
    assert own_folders(opened.name) == [tmp_path / "sky"]


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    name = str(written(tmp_path / "sky.parquet", ["day"]))
    with pytest.raises(InputError, match="has no column 'group': it has label, mask"):
        open_dataset(name, None, None, ("label", "group"))
