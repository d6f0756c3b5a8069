import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.metric.kept_tensors import kept_tensors

FACTS = {"node": "hair", "size": 64, "class_ids": (3, 4)}


class Maker:
    """Makes tensors and counts how often."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> dict[str, Tensor]:
        self.made += 1
        return {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([True, False])}


def kept(folder: Path, make: Maker, facts: dict[str, object] = FACTS) -> None:
    tensors = kept_tensors(folder, facts, make)
    assert tensors["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tensors["b"].tolist() == [True, False]


def test_tensors_are_made_once(tmp_path: Path) -> None:
    make = Maker()
    for _ in range(3):
        kept(tmp_path / "x.index", make)
    assert make.made == 1
    tensors, note = sorted((tmp_path / "x.index").iterdir(), key=lambda path: path.suffix, reverse=True)
    assert (tensors.suffix, note.suffix) == (".safetensors", ".json")
    assert json.loads(note.read_text())["node"] == "hair"


def test_other_facts_have_other_tensors_and_leave_these(tmp_path: Path) -> None:
    make = Maker()
    kept(tmp_path, make)
    kept(tmp_path, make, {**FACTS, "size": 48})
    assert make.made == 2
    kept(tmp_path, make)
    kept(tmp_path, make, {**FACTS, "size": 48})
    assert make.made == 2


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "a bit": lambda tensors, _: flip(tensors),
    "half a file": lambda tensors, _: tensors.write_bytes(tensors.read_bytes()[:20]),
    "no tensors": lambda tensors, _: tensors.unlink(),
    "no note": lambda _, note: note.unlink(),
    "half a note": lambda _, note: note.write_text(note.read_text()[:9]),
    "a note of another kind": lambda _, note: note.write_text("[]"),
    "a note without a digest": lambda _, note: note.write_text("{}"),
    "a note with no digest": lambda _, note: note.write_text('{"sha256": null}'),
    "a note that is no text": lambda _, note: note.write_bytes(b"\xff\xfe"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: str) -> None:
    make = Maker()
    kept(tmp_path, make)
    DAMAGES[damage](next(tmp_path.glob("*.safetensors")), next(tmp_path.glob("*.json")))
    kept(tmp_path, make)
    assert make.made == 2
    kept(tmp_path, make)
    assert make.made == 2


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str, encoding: str) -> int:
        raise OSError(28, "No space left on device")

    make = Maker()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(InputError, match=r"the search index cannot be kept in .*No space left.*: make room"):
            kept(tmp_path, make)
    kept(tmp_path, make)
    assert make.made == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.index").write_text("a file")
    with pytest.raises(InputError, match=r"cannot be kept in .*x\.index"):
        kept(tmp_path / "x.index", Maker())
