"""The Prefect task that judges a node's maps."""

import json
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, task

from infra.machine import machine_name
from infra.tracking import open_tracker
from tasks.artifact_keys import artifact_key
from tasks.artifacts import post_markdown
from tasks.judging.judge_node import judge_node
from tasks.judging.registry import ATTRIBUTIONS
from tasks.metric.trained_tree import open_trained_tree
from tasks.segments.store import open_store


@dataclass(frozen=True, kw_only=True)
class JudgeRun:
    """What is judged, and where the figures go: plain values.

    Attributes:
        model: folder of the trained tree.
        store: folder of the segment store.
        node: the node's name.
        segment: the class or leaf that energy and pointing are counted in; None for all of the tree's.
        avsl: weights of an AVSL baseline, or None.
        pairs: how many.
        seed: of all that is random.
        device: "cpu" or "cuda".
        decoded: folder of a machine's decoded splits.
        out: folder for judgement.md and judgement.json.
        tracking: address of the tracking store.
        run_id: the flow's run there.
    """

    model: str
    store: str
    node: str
    segment: str | None
    avsl: str | None
    pairs: int
    seed: int
    device: str
    decoded: str
    out: str
    tracking: str
    run_id: str


@task(name="judge-maps", task_run_name="judge {run.node}", tags=["explain"])
def judge_maps(run: JudgeRun) -> list[str]:
    """Judge SFAM and its peers on one node: tables as files, artifacts and MLflow tables.

    Returns:
        The tables in Markdown.

    Raises:
        InputError: the model, the store, the node or the segment cannot be used, or the photos make too few pairs.
    """
    trained = open_trained_tree(Path(run.model), run.device)
    judgement = judge_node(
        trained,
        open_store(Path(run.store)),
        run.node,
        ATTRIBUTIONS.values(),
        Path(run.decoded),
        pairs=run.pairs,
        seed=run.seed,
        segment=run.segment,
        avsl=Path(run.avsl) if run.avsl else None,
        on_method=get_run_logger().info,
    )
    folder = Path(run.out)
    folder.mkdir(parents=True, exist_ok=True)
    tables = judgement.tables(machine_name(run.device))
    (folder / "judgement.json").write_text(json.dumps(judgement.to_dict(), indent=1, allow_nan=False), encoding="utf-8")
    markdown = [table.markdown() for table in tables]
    (folder / "judgement.md").write_text("\n".join(markdown), encoding="utf-8")
    tracker = open_tracker(run.tracking)
    for table, text in zip(tables, markdown, strict=True):
        tracker.log_table(run.run_id, table.columns_of_values(), f"{table.name}.json")
        post_markdown(key=artifact_key("judge", table.name), markdown=text, description=table.title)
    for name in ("judgement.md", "judgement.json"):
        tracker.log_artifact(run.run_id, folder / name)
    return markdown
