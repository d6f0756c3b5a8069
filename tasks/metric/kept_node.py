"""What a trained tree keeps of a node: in tree.json, which may come from anyone, so every field is looked at."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from tasks.metric.evaluation import KS, QUANTILES, Precision
from tasks.metric.node_result import Status
from tasks.segments.framing import FRAMINGS, Framing

LARGEST_SIZE = 4096  # pixels; a larger picture of a node is no input of any trunk here


@dataclass(frozen=True, kw_only=True)
class TrainedNode:
    """What a trained tree keeps of a node.

    Attributes:
        status: "trained" or "degenerate".
        reason: why it is degenerate, else "".
        file: its checkpoint, relative to the folder; None if degenerate.
        sha256: the checkpoint's digest.
        framing: "full" or "crop".
        size: edge of its pictures, pixels.
        precision: P@K on the validation split that it was trained beside.
        composed: the same by the composed decision; None for leaves and where there is none.
        weight: a trained leaf's in the composed decision; 0 for others.
        quantiles: float32 [1001], of the bounded SNR distance among validation pairs; empty if degenerate.
        same_label_quantiles: float32 [1001], the same among the pairs of one label; empty without any.
    """

    status: Status
    reason: str
    file: str | None
    sha256: str | None
    framing: Framing
    size: int
    precision: Precision
    composed: Precision | None
    weight: float
    quantiles: NDArray[np.float32]
    same_label_quantiles: NDArray[np.float32]


def parse_node(values: Any) -> TrainedNode:
    """Read a node of tree.json.

    Raises:
        ValueError: a field is missing, unknown or not what it should be, or the checkpoint is not below the folder.
    """
    if not isinstance(values, dict) or set(values) != {field.name for field in fields(TrainedNode)}:
        raise ValueError("a node has other fields")
    status, file, sha256 = values["status"], values["file"], values["sha256"]
    if status not in get_args(Status) or (status == "trained") is not (file is not None):
        raise ValueError(f"a node has the status {status!r} and the file {file!r}")
    if file is not None and not (isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256)):
        raise ValueError(f"the checkpoint {file!r} has no digest")
    if file is not None and not (isinstance(file, str) and _is_inside(file)):
        raise ValueError(f"the checkpoint {file!r} is not below the folder")
    if values["framing"] not in FRAMINGS or not isinstance(values["reason"], str):
        raise ValueError("a node's framing or reason is none")
    if type(values["size"]) is not int or not 1 <= values["size"] <= LARGEST_SIZE:
        raise ValueError(f"a node's pictures have the size {values['size']!r}")
    if not _is_share(values["weight"]):
        raise ValueError(f"a node has the weight {values['weight']!r}")
    composed = values["composed"]
    return TrainedNode(
        **{
            **values,
            "precision": _precision(values["precision"]),
            "composed": None if composed is None else _precision(composed),
            "quantiles": parse_quantiles(values["quantiles"]),
            "same_label_quantiles": parse_quantiles(values["same_label_quantiles"]),
        }
    )


def parse_quantiles(values: Any) -> NDArray[np.float32]:
    """Quantiles of distances, float32 [1001] or empty.

    Raises:
        ValueError: they are no such numbers.
    """
    if not isinstance(values, list) or len(values) not in (0, QUANTILES) or not all(map(_is_finite, values)):
        raise ValueError(f"quantiles are {QUANTILES} numbers or none")
    return np.array(values, dtype=np.float32)


def _precision(values: Any) -> Precision:
    if not isinstance(values, dict) or not all(isinstance(values.get(name), Mapping) for name in ("at", "intervals")):
        raise ValueError("a node's P@K is none")
    found = Precision.from_dict(values)
    bounds = [bound for bound in found.intervals.values() if bound is not None]
    shares = [value for value in found.at.values() if value is not None] + [end for bound in bounds for end in bound]
    if set(found.at) != set(KS) or set(found.intervals) != set(KS) or type(found.n) is not int or found.n < 0:
        raise ValueError("a node's P@K is none")
    if any(len(bound) != 2 for bound in bounds) or not all(map(_is_share, shares)):
        raise ValueError("a node's P@K is out of [0, 1]")
    return found


def _is_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in file and "\\" not in file


def _is_share(value: Any) -> bool:
    return _is_finite(value) and 0 <= value <= 1


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
