"""Checkpoints: safetensors files, written whole or not at all, checked by their SHA-256."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tasks.errors import InputError
from tasks.temporary_path import temporary_path

_OS_ERROR = re.compile(r"\(os error (\d+)\)")  # as safetensors tells of one


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors to a file: temporary name, then rename.

    Args:
        path: the file.
        tensors: by name, on any device.
        metadata: kept in the file's header.

    Raises:
        OSError: the disk is full or not writable; the file that was there before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary, dict(metadata or {}))
        temporary.replace(path)
    except SafetensorError as error:
        number = _OS_ERROR.search(str(error))
        if number is None:
            raise OSError(f"{path} could not be written: {error}") from error
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a checkpoint's tensors.

    Args:
        path: the file.
        sha256: what its digest has to be; None to take it as it is.

    Raises:
        InputError: it is not there, is no safetensors file, or has another digest.
    """
    try:
        if sha256 is not None and file_sha256(path) != sha256:
            raise InputError(
                f"the checkpoint {path} is damaged or was changed: its SHA-256 is not {sha256[:12]}...; "
                "delete its folder and train again, only that node is trained anew"
            )
        return load_file(path)  # type: ignore[no-any-return, unused-ignore]
    except (OSError, SafetensorError) as error:
        raise InputError(f"the checkpoint {path} cannot be read: {error}; train the node again") from None


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata in a checkpoint's header, texts by name.

    Raises:
        InputError: it is not there, or is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"the checkpoint {path} cannot be read: {error}; train the node again") from None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
