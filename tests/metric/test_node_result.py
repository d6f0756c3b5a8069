import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tasks.metric.checkpoint import file_sha256, save_checkpoint
from tasks.metric.evaluation import Precision
from tasks.metric.node_result import NodeResult, finished_result, read_result, write_result


def made_result(folder: Path) -> NodeResult:
    """A trained node's folder with two files and their record."""
    save_checkpoint(folder / "best.safetensors", {"x": torch.ones(3)})
    save_checkpoint(folder / "embeddings.safetensors", {"x": torch.ones(1)})
    return NodeResult(
        node="hair",
        key="k1",
        status="trained",
        reason="",
        folder=str(folder),
        checkpoint_sha256=file_sha256(folder / "best.safetensors"),
        framing="full",
        size=32,
        precision=Precision(at={1: 0.75, 2: 0.5, 8: None}, intervals={1: (0.5, 1.0), 2: (0.25, 0.75), 8: None}, n=8),
        held_out_precision_at_1=0.5,
        area=0.125,
        train_images=36,
        epochs=4,
        best_epoch=2,
        seconds=1.5,
        images_per_second=96.0,
        peak_memory=1000,
        parameters=7,
        micro_batch=8,
        mlflow_run_id="abc",
    )


@pytest.fixture
def result(tmp_path: Path) -> NodeResult:
    made = made_result(tmp_path / "k1")
    write_result(made)
    return made


def test_a_result_comes_back_from_its_dict_and_from_json(result: NodeResult) -> None:
    assert NodeResult.from_dict(result.to_dict()) == result
    assert NodeResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_a_result_comes_back_from_its_folder(result: NodeResult) -> None:
    folder = Path(result.folder)
    assert read_result(folder) == result
    assert finished_result(folder, "k1") == result
    assert (result.checkpoint, result.embeddings) == (folder / "best.safetensors", folder / "embeddings.safetensors")
    assert {entry.name for entry in folder.iterdir()} == {"best.safetensors", "embeddings.safetensors", "result.json"}


def test_a_folder_that_was_moved_is_still_finished(result: NodeResult, tmp_path: Path) -> None:
    shutil.move(result.folder, tmp_path / "elsewhere")
    moved = finished_result(tmp_path / "elsewhere", "k1")
    assert moved == replace(result, folder=str(tmp_path / "elsewhere"))


def test_a_degenerate_node_is_finished_without_files(tmp_path: Path) -> None:
    made = replace(made_result(tmp_path), status="degenerate", reason="few", checkpoint_sha256=None)
    write_result(made)
    made.checkpoint.unlink()
    made.embeddings.unlink()
    assert finished_result(tmp_path, "k1") == made


def test_another_key_is_not_finished(result: NodeResult) -> None:
    assert finished_result(Path(result.folder), "k2") is None


@pytest.mark.parametrize("change", ["checkpoint byte", "no checkpoint", "no validation", "no result"])
def test_what_is_not_whole_is_not_finished(change: str, result: NodeResult) -> None:
    if change == "checkpoint byte":
        data = bytearray(result.checkpoint.read_bytes())
        data[-1] ^= 1
        result.checkpoint.write_bytes(data)
    elif change == "no checkpoint":
        result.checkpoint.unlink()
    elif change == "no validation":
        result.embeddings.unlink()
    else:
        (Path(result.folder) / "result.json").unlink()
    assert finished_result(Path(result.folder), "k1") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"node": "hair"}', '{"precision": {}}', "nonsense", "null"])
def test_a_damaged_record_is_no_result(text: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(text, encoding="utf-8")
    assert read_result(tmp_path) is None


def test_a_record_of_another_version_is_no_result(result: NodeResult) -> None:
    path = Path(result.folder) / "result.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**fields, "colour": "red"}), encoding="utf-8")
    assert read_result(Path(result.folder)) is None


def test_there_is_no_result_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert read_result(tmp_path / "nowhere") is None
    assert finished_result(tmp_path / "nowhere", "k1") is None


def test_a_full_disk_leaves_the_earlier_record(result: NodeResult, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(path: Path, text: str, encoding: str) -> int:
        path.write_bytes(text.encode()[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", write_half)
    with pytest.raises(OSError, match="No space"):
        write_result(replace(result, node="new"))
    assert read_result(Path(result.folder)) == result
