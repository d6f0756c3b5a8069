import errno
import hashlib
import resource
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from tasks.errors import InputError
from tasks.metric import checkpoint
from tasks.metric.checkpoint import file_sha256, load_checkpoint, read_metadata, save_checkpoint

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "counter": torch.tensor(7),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "channels_last": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
}


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "best.safetensors"
    save_checkpoint(path, TENSORS, {"note": "7"})
    for loaded in (load_checkpoint(path), load_checkpoint(path, file_sha256(path)), load_file(path)):
        assert loaded.keys() == TENSORS.keys()
        for name, tensor in loaded.items():
            assert tensor.dtype == TENSORS[name].dtype
            assert torch.equal(tensor, TENSORS[name])
    assert read_metadata(path) == {"note": "7"}
    assert [entry.name for entry in path.parent.iterdir()] == ["best.safetensors"]


def test_tensors_with_a_gradient_are_saved_too(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x", {"x": torch.ones(2, requires_grad=True)})
    assert not load_checkpoint(tmp_path / "x")["x"].requires_grad
    assert read_metadata(tmp_path / "x") == {}


def test_what_the_system_refuses_has_its_number_and_file(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x", {"x": torch.ones(2)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            save_checkpoint(tmp_path / "x", {"x": torch.ones(1000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (raised.value.errno, raised.value.filename) == (errno.EFBIG, str(tmp_path / "x"))
    assert torch.equal(load_checkpoint(tmp_path / "x")["x"], torch.ones(2))
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_the_digest_is_the_file_s_sha256(tmp_path: Path) -> None:
    for name in "xy":
        save_checkpoint(tmp_path / name, TENSORS)
        assert file_sha256(tmp_path / name) == hashlib.sha256((tmp_path / "x").read_bytes()).hexdigest()


def test_a_changed_byte_is_found_by_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "x"
    save_checkpoint(path, TENSORS)
    sha256, data = file_sha256(path), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"is damaged or was changed: its SHA-256 is not {sha256[:12]}\.\.\.; delete"):
        load_checkpoint(path, sha256)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for digest in (None, "0" * 64):
        with pytest.raises(InputError, match=r"x cannot be read: .*; train the node again"):
            load_checkpoint(path, digest)
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"x cannot be read: .*; train the node again"):
        load_checkpoint(path)
    save_checkpoint(path, TENSORS)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(path)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("I/O error: no space")])
def test_a_full_disk_leaves_the_earlier_file(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    save_checkpoint(path, TENSORS)
    sha256 = file_sha256(path)

    def save_half(tensors: object, file: Path, metadata: object) -> None:
        file.write_bytes(b"half")
        raise error

    monkeypatch.setattr(checkpoint, "save_file", save_half)
    with pytest.raises(OSError, match=r"[Nn]o space"):
        save_checkpoint(path, {"x": torch.zeros(1)})
    assert load_checkpoint(path, sha256).keys() == TENSORS.keys()
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError):
        save_checkpoint(tmp_path / "file" / "x", TENSORS)
