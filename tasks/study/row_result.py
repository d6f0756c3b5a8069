"""What one row of a study came to: a small record, kept as JSON so that a row that is done is not run again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.metric.compare import Difference
from tasks.metric.controls import Controlled
from tasks.metric.evaluation import Precision
from tasks.temporary_path import write_whole


@dataclass(frozen=True, kw_only=True)
class NodeRow:
    """One trained thing of a row: a node of the tree, or a baseline.

    Attributes:
        children: names of its two children; empty for a leaf and a baseline.
        status: "trained" or "degenerate".
        framing, size: of its pictures.
        own: P@K by its own model.
        composed: P@K by the weighted sum of its leaves' distances; None where there is no such sum.
        weight: a trained leaf's in that sum.
        seconds: of its training, evaluation after each epoch included.
        pictures: training pictures that it went through in that time.
        images: the validation images that it uses.
        shares: P@1 of each, by its own model.
        composed_shares: P@1 of each, by the composed decision; empty without one.
        balanced, composed_balanced: balanced accuracy of an 8-nearest-neighbour vote by either; None without one.
        best_child: the child with the highest P@1; None without one.
        above_child: its own P@1 minus that child's, among the images that both have.
        controls: a leaf's, where they were trained.
    """

    children: tuple[str, ...]
    status: str
    framing: str
    size: int
    own: Precision
    composed: Precision | None
    weight: float | None
    seconds: float
    pictures: int
    images: tuple[int, ...]
    shares: tuple[float, ...]
    composed_shares: tuple[float, ...]
    balanced: float | None
    composed_balanced: float | None
    best_child: str | None
    above_child: Difference | None
    controls: Controlled | None

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "NodeRow":
        """The record again from its plain values, also after a trip through JSON."""
        controls = fields["controls"]
        return cls(
            **{
                **fields,
                **{name: tuple(fields[name]) for name in ("children", "images", "shares", "composed_shares")},
                "own": Precision.from_dict(fields["own"]),
                "composed": _precision(fields["composed"]),
                "above_child": _difference(fields["above_child"]),
                "controls": controls
                and Controlled(
                    shape=_precision(controls["shape"]),
                    background=_precision(controls["background"]),
                    above=_difference(controls["above"]),
                ),
            }
        )


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """What a row came to with one seed.

    Attributes:
        row: the row's name.
        seed: of its training.
        key: digest of all that it depends on.
        whole: name of the node that shows the full image: the root, or the baseline.
        decision: which of the root's two decisions held-out images prefer.
        nodes: by name, children before parents.
    """

    row: str
    seed: int
    key: str
    whole: str
    decision: str
    nodes: Mapping[str, NodeRow]

    @property
    def root(self) -> NodeRow:
        """The node that shows the full image."""
        return self.nodes[self.whole]

    @property
    def seconds(self) -> float:
        """Training time of all its nodes, one after the other; controls do not count."""
        return sum(node.seconds for node in self.nodes.values())


def row_file(folder: Path, row: str, seed: int) -> Path:
    """Where a row's record is kept."""
    return folder / "rows" / f"{row}-seed{seed}.json"


def write_row(folder: Path, result: RowResult) -> None:
    """Write a row's record, whole or not at all."""
    path = row_file(folder, result.row, result.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(asdict(result)))


def read_row(path: Path) -> RowResult | None:
    """A row's record; None if it is not there or damaged."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        nodes = {name: NodeRow.from_dict(node) for name, node in fields["nodes"].items()}
        return RowResult(**{**fields, "nodes": nodes})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_rows(folder: Path) -> list[RowResult]:
    """All records of a study's folder, by row and seed."""
    found = [read_row(path) for path in sorted((folder / "rows").glob("*.json"))]
    return [result for result in found if result is not None]


def _precision(fields: dict[str, Any] | None) -> Precision | None:
    return None if fields is None else Precision.from_dict(fields)


def _difference(fields: dict[str, Any] | None) -> Difference | None:
    return None if fields is None else Difference(**{**fields, "interval": tuple(fields["interval"])})
