"""The paper's tables: every row of a study trained, recorded, and set beside the paper's figures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import flow

from flows.console import say
from flows.parameters import ReproduceParameters, TrainParameters
from flows.prepare_data import prepare_data, prepare_runner
from flows.study_data import hub_data
from flows.tracked_run import tracked_run
from flows.train_tree import runner_for, train_tree, training_run
from flows.trainings import Training, Trainings
from flows.trees import resolve_tree
from infra.machine import machine_name
from infra.outage import outlive_outages
from infra.runners import check_engine, task_runner, training_resources
from infra.settings import Settings, load_settings
from tasks.errors import InputError
from tasks.metric.avsl_model import trunk_levels
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import Subject, avsl_baseline, traditional_baseline
from tasks.reproduce import measure_cost, of_row, record_baseline, record_tree, row_key, write_tables
from tasks.segments.label_functions import label_functions
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.tree import SegmentTree
from tasks.study.paper import paper_study
from tasks.study.row_result import read_row, row_file
from tasks.study.rows import StudyRow, select_rows
from tasks.train import train_beside
from tasks.training_run import TrainingRun, decode_store


@flow(name="reproduce", flow_run_name="reproduce {parameters.study}", task_runner=task_runner(load_settings()))
def reproduce(parameters: ReproduceParameters) -> list[str]:
    """Train the rows of a study that are not done yet, and write its tables from all that are.

    Args:
        parameters: which study, rows and seeds, on what data.

    Returns:
        The tables in Markdown.

    Raises:
        InputError: the study, a row, the data or the options cannot be used; rows that are done stay done.
    """
    settings = load_settings()
    check_engine(settings, say)
    paper, rows = paper_study(parameters.study), select_rows(parameters.rows)
    if any(row.method == "avsl" for row in rows):
        trunk_levels(parameters.options.trunk)  # refuses a trunk without them before anything is trained
    out = (parameters.out or settings.home / "studies" / parameters.study).resolve()
    store = _store(parameters, settings, out)
    tree = resolve_tree(parameters.tree or parameters.study, store)
    options = replace(parameters.options, device=settings.torch_device, threads=settings.threads)
    run = training_run(store, tree, options, settings)
    facts = {**run.options, "store": run.store, "study": parameters.study}
    with tracked_run(run.tracking, run.experiment, facts) as run_id:
        run = replace(run, parent_run_id=run_id)
        outlive_outages(lambda: _measure_rows(rows, run, parameters, settings, store, out), settings, say)
        notes = _notes(parameters, paper.stood_for, store, tree, options, settings)
        tables = write_tables(parameters.study, run, parameters.tree is not None, notes, str(out))
    for table in tables:
        say(table)
    say(f"tables: {out / 'tables.md'}")
    return tables


def _store(parameters: ReproduceParameters, settings: Settings, out: Path) -> SegmentStore:
    """The given store, or the study's data set from the hub, prepared once."""
    if parameters.store is not None:
        return open_store(parameters.store.resolve())
    preparing = hub_data(parameters.study, out / "store")
    try:
        return open_store(out / "store")
    except InputError:
        pass  # not there, or not whole
    prepare_data.with_options(task_runner=prepare_runner(preparing, settings))(preparing)
    return open_store(out / "store")


def _measure_rows(
    rows: Sequence[StudyRow],
    run: TrainingRun,
    parameters: ReproduceParameters,
    settings: Settings,
    store: SegmentStore,
    out: Path,
) -> None:
    for number, row in enumerate(rows, start=1):
        for seed in range(parameters.seeds):
            own = of_row(row, run, seed)
            done = read_row(row_file(out, row.name, seed))
            known = done is not None and done.key == row_key(row, own)
            say(f"row {number}/{len(rows)}, {row.name}, seed {seed}" + (": done before" if known else ""))
            if not known:
                _train_row(row, own, parameters, settings, store, out)
    if parameters.costs:
        for setting in ("equal", "published"):
            with training_resources(settings):
                measure_cost.submit(setting, run, str(out)).result()


def _train_row(
    row: StudyRow,
    run: TrainingRun,
    parameters: ReproduceParameters,
    settings: Settings,
    store: SegmentStore,
    out: Path,
) -> None:
    options = TrainingOptions(**run.options)
    if row.method == "heml":
        training = TrainParameters(
            store=store.path,
            tree=parameters.tree or parameters.study,
            out=out / "trees" / f"{row.name}-seed{options.seed}",
            options=options,
            controls=row.controls,
            register_model=False,
        )
        outcome: dict[str, Any] = train_tree.with_options(task_runner=runner_for(training, settings))(training)
        record_tree(row, run, outcome, str(out))
        return
    subject: Subject = (avsl_baseline if row.method == "avsl" else traditional_baseline)(options)
    decode_store(run)
    baseline = Training(submit=lambda _: train_beside.submit(subject, run))
    result: dict[str, Any] = Trainings({row.name: baseline}, settings).wait()[row.name].result()
    record_baseline(row, run, subject, result, str(out))


def _notes(
    parameters: ReproduceParameters,
    paper: str,
    store: SegmentStore,
    tree: SegmentTree,
    options: TrainingOptions,
    settings: Settings,
) -> tuple[str, ...]:
    train, validation = store.rows("train"), store.rows("validation")
    given = "" if parameters.store is None else f"; they stand in for the paper's {paper}"
    notes = [
        f"Data: {store.source}, {train} training and {validation} validation photos, {len(tree.leaves)} leaves{given}.",
        f"All rows, but for what their names say: trunk {options.trunk} (weights {Path(options.weights).name}), "
        f"{options.size} px, framing {options.framing}, fill {options.fill}, photos without the part: "
        f"{options.absent}, averaging by {options.averaging}, {options.augmentation} augmentation, at most "
        f"{options.epochs} epochs ({options.epochs_of(combined=True)} of a combined node), batch {options.batch}, "
        f"learning rate {options.learning_rate:g}.",
        f"Machine: {machine_name(settings.torch_device)}.",
    ]
    leaf_of = {name: leaf.name for leaf in tree.leaves for name in leaf.classes or ()}
    if told := [name for name in label_functions(store) if name in leaf_of]:
        notes.append(
            f"The label is a function of one segment: the presence of {', '.join(told)} gives it away. The composed "
            "decision sees absence, so these data are to be judged by the root's own model."
        )
    return tuple(notes)
