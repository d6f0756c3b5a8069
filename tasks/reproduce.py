"""Prefect tasks of a study: the record of a row, what a step costs, and the tables."""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from prefect import task

from infra.tracking import open_tracker
from tasks.artifact_keys import artifact_key
from tasks.artifacts import post_markdown
from tasks.code_digest import code_digest
from tasks.errors import InputError
from tasks.metric.identity import training_values
from tasks.metric.node_result import NodeResult, read_result
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import Subject
from tasks.segments.store import open_store
from tasks.segments.tree import parse_tree
from tasks.study.paper import paper_study
from tasks.study.row_result import RowResult, read_rows, write_row
from tasks.study.rows import ROWS, Method, StudyRow
from tasks.study.step_cost import PUBLISHED, USED, StepCost, step_cost
from tasks.study.summary import summarise_baseline, summarise_tree
from tasks.study.tables import study_tables
from tasks.temporary_path import write_whole
from tasks.training_run import TrainingRun


def row_key(row: StudyRow, run: TrainingRun) -> str:
    """Digest of all that a row's record depends on, the code that makes the record among it.

    Raises:
        InputError: the weights to start from are a file that cannot be read.
    """
    training = training_values(TrainingOptions(**run.options))
    facts = [asdict(row), open_store(Path(run.store)).digest, run.tree, training, code_digest()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=dict).encode()).hexdigest()[:32]


def of_row(row: StudyRow, run: TrainingRun, seed: int) -> TrainingRun:
    """The study's run with the options of one row and seed."""
    return replace(run, options=asdict(row.options(TrainingOptions(**run.options), seed)))


@task(name="record-tree", task_run_name="record {row.name}", tags=["report"])
def record_tree(row: StudyRow, run: TrainingRun, outcome: dict[str, Any], out: str) -> None:
    """Write the record of a trained tree.

    Args:
        row: which row it is.
        run: its store, tree and options.
        outcome: what the training's flow returned.
        out: the study's folder.

    Raises:
        InputError: a node's files are missing.
    """
    results = {name: _result(run, node["key"], name) for name, node in outcome["nodes"].items()}
    controls = [_result(run, key, name) for name, key in outcome["controls"].items()]
    tree, store, options = parse_tree(run.tree), open_store(Path(run.store)), TrainingOptions(**run.options)
    write_row(Path(out), summarise_tree(row.name, row_key(row, run), tree, store, options, results, controls))


@task(name="record-baseline", task_run_name="record {row.name}", tags=["report"])
def record_baseline(row: StudyRow, run: TrainingRun, subject: Subject, result: dict[str, Any], out: str) -> None:
    """Write the record of a trained baseline.

    Raises:
        InputError: its files are missing.
    """
    store = open_store(Path(run.store))
    summary = summarise_baseline(row.name, row_key(row, run), subject, store, NodeResult.from_dict(result))
    write_row(Path(out), summary)


@task(name="measure-cost", task_run_name="cost {setting}", tags=["report"])
def measure_cost(setting: str, run: TrainingRun, out: str) -> None:
    """Measure a training step of each method, unless it was done before, and keep it in the study's folder.

    A method that cannot be measured, for want of memory or with another trunk than its own, is kept with the reason.

    Args:
        setting: "equal", with the study's trunk, size and batch; or "published", with each method's own.
        run: its options.
        out: the study's folder.
    """
    path, asked = Path(out) / f"cost-{setting}.json", _options_of_costs(setting, run)
    key = _key_of_costs(asked)
    if _read_costs(path, key):
        return
    # One step of a large model on a CPU takes minutes; its memory is the same at the second.
    steps = 3 if setting == "equal" or run.options["device"] == "cuda" else 1
    measured = [asdict(step_cost(method, own, steps)) for method, own in asked.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({"key": key, "costs": measured}, indent=1))


@task(name="write-tables", task_run_name="tables", tags=["report"])
def write_tables(study: str, run: TrainingRun, own_tree: bool, notes: tuple[str, ...], out: str) -> list[str]:
    """Write the study's tables: Markdown, JSON, artifacts, MLflow tables.

    They hold all rows and costs that are done on these data, with this tree and these options; others in the folder
    are left out.

    Args:
        study: its name.
        run: its store, tree and options, and the flow's run in the tracking store.
        own_tree: whether the tree is another than the study's, so that the paper's nodes are not its own.
        notes: said under every table.
        out: the study's folder.

    Returns:
        The tables in Markdown.
    """
    folder = Path(out)
    groups = open_store(Path(run.store)).columns("validation", ["group"])["group"]
    costs = {}
    for setting in ("equal", "published"):
        key = _key_of_costs(_options_of_costs(setting, run))
        costs[setting] = _read_costs(folder / f"cost-{setting}.json", key)
    paper = paper_study(study)
    if own_tree:
        paper = replace(paper, table_3={})
    rows = [found for found in read_rows(folder) if found.row in ROWS and found.key == _key(found, run)]
    tables = study_tables(paper, rows, costs, groups, notes)
    markdown = [table.markdown() for table in tables]
    (folder / "tables.md").write_text("\n".join(markdown), encoding="utf-8")
    plain = [asdict(table) for table in tables]
    (folder / "tables.json").write_text(json.dumps(plain, indent=1), encoding="utf-8")
    tracker = open_tracker(run.tracking)
    for table in tables:
        tracker.log_table(run.parent_run_id, table.columns_of_values(), f"{table.name}.json")
        post_markdown(key=artifact_key("study", study, table.name), markdown=table.markdown(), description=table.title)
    tracker.log_artifact(run.parent_run_id, folder / "tables.md")
    return markdown


def _options_of_costs(setting: str, run: TrainingRun) -> dict[Method, TrainingOptions]:
    """Each method's options of the setting."""
    options = replace(TrainingOptions(**run.options), weights="none")
    return {method: PUBLISHED[method](options) if setting == "published" else options for method in PUBLISHED}


def _key_of_costs(asked: dict[Method, TrainingOptions]) -> str:
    used = {method: {name: getattr(own, name) for name in USED} for method, own in asked.items()}
    return json.dumps([used, code_digest()], sort_keys=True)


def _read_costs(path: Path, key: str) -> list[StepCost]:
    """What `measure_cost` kept of that key; empty if there is nothing, or it is damaged."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return [StepCost(**fields) for fields in kept["costs"]] if kept["key"] == key else []
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _key(found: RowResult, run: TrainingRun) -> str:
    row = ROWS[found.row]
    return row_key(row, of_row(row, run, found.seed))


def _result(run: TrainingRun, key: str, name: str) -> NodeResult:
    result = read_result(Path(run.nodes) / key)
    if result is None:
        raise InputError(
            f"the result of {name} is not in {run.nodes}/{key}: run the study again, it trains what is missing"
        )
    return replace(result, node=name)
