"""Tensors kept in a folder under the digest of what they were made from: found again, or made anew."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tasks.errors import InputError
from tasks.metric.checkpoint import file_sha256, load_checkpoint, save_checkpoint
from tasks.metric.identity import node_key
from tasks.temporary_path import write_whole


def kept_tensors(
    folder: Path, facts: Mapping[str, Any], make: Callable[[], Mapping[str, Tensor]]
) -> Mapping[str, Tensor]:
    """The tensors that were made from these facts: `KEY.safetensors`, beside it `KEY.json` with facts and digest.

    A file that is damaged or was written half is as good as none: the tensors are made and written again.

    Args:
        folder: where they are kept; made if missing.
        facts: all that the tensors depend on, as plain values.
        make: makes them.

    Raises:
        InputError: they cannot be written.
    """
    key = node_key(dict(facts))
    path, note = folder / f"{key}.safetensors", folder / f"{key}.json"
    kept = _read(path, note)
    if kept is not None:
        return kept
    made = make()
    try:
        save_checkpoint(path, made)
        write_whole(note, json.dumps({"sha256": file_sha256(path), **facts}, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"the search index cannot be kept in {folder} ({error}): make room, or it writable") from None
    return made


def _read(path: Path, note: Path) -> Mapping[str, Tensor] | None:
    try:
        return load_checkpoint(path, str(json.loads(note.read_text(encoding="utf-8"))["sha256"]))
    except (OSError, ValueError, KeyError, TypeError):  # an InputError is a ValueError
        return None
