"""The Prefect task that explains two photos."""

from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact

from tasks.artifact_keys import artifact_key
from tasks.explanation.explain_photos import explain_photos
from tasks.explanation.explanation_json import explanation_json
from tasks.metric.trained_tree import open_trained_tree


@task(name="explain-pair", task_run_name="explain {photos[0]} and {photos[1]}", tags=["explain"])
def explain(
    model: str, device: str, photos: tuple[str, str], masks: tuple[str | None, str | None], out: str
) -> dict[str, Any]:
    """Explain two photos and post the tree of distances.

    Args:
        model: folder of the trained tree.
        device: "cpu" or "cuda".
        photos: files of A and B.
        masks: files of their label maps; None where the model's own segmenter makes it.
        out: folder for explanation.json, tree.png and index.html.

    Returns:
        What explanation.json holds.

    Raises:
        InputError: the model, a photo or a mask cannot be used.
    """
    a, b = (Path(mask) if mask else None for mask in masks)
    trained = open_trained_tree(Path(model), device)
    explanation = explain_photos(trained, (Path(photos[0]), Path(photos[1])), (a, b), Path(out))
    lines = ["| node | bounded distance | percentile |", "|---|---|---|"]
    for node in explanation.nodes:
        known = node.bounded_distance is not None and node.percentile is not None
        lines.append(
            f"| {node.name} | {node.bounded_distance:.3f} | {node.percentile:.0f} |"
            if known
            else f"| {node.name} | - | - |"
        )
    text = "\n".join([f"Page: `{Path(out) / 'index.html'}`", "", *lines])
    create_markdown_artifact(key=artifact_key("explanation"), markdown=text, description="distances, leaf to root")
    return explanation_json(explanation)
