"""An explanation's numbers as strict JSON, without the pictures."""

import math
from dataclasses import asdict
from typing import Any

from tasks.explanation.record import NodeExplanation, PairExplanation
from tasks.explanation.wording import similarity
from tasks.metric.evaluation import Precision


def explanation_json(explanation: PairExplanation) -> dict[str, Any]:
    """The explanation as plain values that `json.dumps(..., allow_nan=False)` takes.

    What is NaN or infinite becomes null: strict JSON has neither. Nodes stand children before parents, the root last.
    """
    photos = [
        {"name": name, "label": label, "height": photo.shape[1], "width": photo.shape[2]}
        for name, label, photo in zip(explanation.names, explanation.labels, explanation.photos, strict=True)
    ]
    plain = {
        "photos": photos,
        "root": explanation.root.name,
        "decision": explanation.decision,
        "similarity": similarity(explanation.distance),
        "percentile": explanation.percentile,
        "typical_similarity": similarity(explanation.typical_distance),
        "precision_at_1_by_chance": explanation.chance,
        "nodes": [_node(node) for node in explanation.nodes],
        "additive": None if explanation.additive is None else asdict(explanation.additive),
    }
    strict: dict[str, Any] = _strict(plain)
    return strict


def _node(node: NodeExplanation) -> dict[str, Any]:
    return {
        "name": node.name,
        "segments": node.segments,
        "children": node.children,
        "level": node.level,
        "status": node.status,
        "present": node.present,
        "similarity": similarity(node.bounded_distance),
        "bounded_distance": node.bounded_distance,
        "snr_distance": node.snr_distance,
        "percentile": node.percentile,
        "same_label_percentile": node.same_label_percentile,
        "standing": node.standing,
        **_figures("", node.precision),
        "composed_distance": node.composed_distance,
        **_figures("composed_", node.composed_precision or Precision.none(node.precision.n)),
        "bias_share": node.bias_share,
    }


def _figures(decision: str, precision: Precision) -> dict[str, Any]:
    """precision_at_1, precision_at_1_interval, and so on."""
    figures: dict[str, Any] = {}
    for k, value in precision.at.items():
        figures |= {
            f"{decision}precision_at_{k}": value,
            f"{decision}precision_at_{k}_interval": precision.intervals[k],
        }
    return figures


def _strict(value: Any) -> Any:
    """Numbers of numpy as Python's, NaN and infinities as None, tuples as lists, through all levels."""
    if isinstance(value, dict):
        return {str(key): _strict(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(inner) for inner in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
