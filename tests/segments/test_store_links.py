import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.segments.shard_writer import shard_path
from tasks.segments.store import SegmentStore, open_store


def test_a_shard_may_be_a_link_and_is_replaced_not_written_through(
    make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    before = make_store(tmp_path / "store").digest
    path, kept = shard_path(tmp_path / "store", "train", 1), tmp_path / "kept.parquet"
    path.rename(kept)
    path.symlink_to(kept)
    assert open_store(tmp_path / "store").digest == before
    content = kept.read_bytes()
    kept.chmod(0o400)
    make_store(tmp_path / "store")
    assert not path.is_symlink() and kept.read_bytes() == content


def test_a_segmenter_s_file_that_leads_out_of_the_store_is_refused(
    make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    make_store(tmp_path / "store")
    secret, segmenter = tmp_path / "secret", tmp_path / "store" / "segmenter"
    secret.write_text("of this machine")
    segmenter.mkdir()
    (segmenter / "model.safetensors").write_bytes(b"")
    (segmenter / "same.safetensors").symlink_to("model.safetensors")
    assert open_store(tmp_path / "store").segmenter == segmenter
    (segmenter / "config.json").symlink_to(secret)
    with pytest.raises(InputError, match=r"config\.json is a link that leads out of the store"):
        open_store(tmp_path / "store")


def test_a_pipe_is_no_shard(make_store: Callable[..., SegmentStore], tmp_path: Path) -> None:
    make_store(tmp_path / "store")
    path = shard_path(tmp_path / "store", "train", 1)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="is not a shard of a segment store"):
        open_store(tmp_path / "store")
