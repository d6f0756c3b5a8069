"""SFAM's two tasks at a node of a trained tree: retrieval and few-shot classification, with sheets of their answers."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tasks.errors import InputError
from tasks.explanation.answer_sheet import Answers, episode_answers, retrieval_answers, write_answer_sheet
from tasks.explanation.table import Table, with_interval
from tasks.metric.distances import OWN_DISTANCES
from tasks.metric.episodes import EpisodeOptions, FewShot, few_shot, sample_episodes
from tasks.metric.model import embed
from tasks.metric.retrieval import Figure, Retrieval, retrieval
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.training_data import NodeView, split_view
from tasks.segments.store import SegmentStore

SHOTS = (1, 5)  # the field's two settings


@dataclass(frozen=True, kw_only=True)
class RetrievalReport:
    """What a node reaches on a store's validation images.

    Attributes:
        node: its name.
        source: the store's data set.
        own_distance: the distance of the node's loss, by which all is measured.
        novel_labels: labels of these images that the store's training split lacks.
        retrieval: Recall@K and mAP@R.
        few_shot: accuracy over episodes, for 1 and 5 shots; empty if none were asked for.
        sheets: file names of the sheets that were written.
    """

    node: str
    source: str
    own_distance: str
    novel_labels: int
    retrieval: Retrieval
    few_shot: tuple[FewShot, ...]
    sheets: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        few = [{**asdict(result), "chance": 1 / result.options.ways} for result in self.few_shot]
        return {**asdict(self), "few_shot": few}

    def table(self) -> Table:
        """As a table."""
        recall = tuple((f"Recall@{k}", _cell(figure)) for k, figure in self.retrieval.recall.items())
        few = tuple(
            (
                f"{result.options.ways}-way {result.options.shots}-shot accuracy",
                with_interval(result.accuracy, result.interval),
            )
            for result in self.few_shot
        )
        drawn = tuple(
            f"{result.options.ways}-way {result.options.shots}-shot: {result.options.episodes} episodes with "
            f"{result.options.queries} queries a class, drawn from {result.labels} labels; chance is "
            f"{100 / result.options.ways:.1f}. The interval is over episodes of these images."
            for result in self.few_shot
        )
        found = self.retrieval
        return Table(
            name="retrieval",
            title=f"Retrieval and few-shot classification: node {self.node} on {self.source}",
            columns=("figure", "percent (95 % interval)"),
            rows=(*recall, ("mAP@R", _cell(found.map_at_r)), *few),
            notes=(
                f"{found.queries} queries of {found.labels} labels among {found.images} validation images, by the "
                f"{self.own_distance.replace('_', ' ')} distance; {self.novel_labels} of the labels are not in the "
                "store's training split. Intervals of retrieval are bootstrapped over queries.",
                *drawn,
            ),
        )


def write_retrieval_report(
    trained: TrainedTree, store: SegmentStore, node: str, options: EpisodeOptions | None, decoded: Path, out: Path
) -> RetrievalReport:
    """Measure a node on a store's validation images and write `retrieval.json`, `retrieval.md` and the sheets.

    Args:
        trained: the tree; its models run on the device of its options.
        store: classes are matched by name.
        node: name of the node.
        options: of the episodes, but for the shots; None for retrieval alone.
        decoded: folder of this machine's decoded splits.
        out: the folder.

    Raises:
        InputError: there is no such node, it has no model, the store lacks a class of the tree or has fewer than two
            images for the node, too few labels have images enough for the episodes, or a checkpoint is damaged.
    """
    trained.tree.check(store.classes.values())
    own, device = trained.own_distance, trained.options.device
    model = trained.model(trained.tree[node].name)
    if model is None:
        raise InputError(f"the node {node!r} has no model: {trained.nodes[node].reason}; ask for another node")
    class_ids = trained.tree[node].class_ids(store.classes)
    view = split_view(store, "validation", class_ids, trained.node_options(node), decoded)
    if len(view) < 2:
        raise InputError(
            f"the store {store.path} has {len(view)} validation images for the node {node!r}: 2 are needed"
        )
    embeddings = embed(model.to(device), view.batches(device), device)
    labels, names = torch.from_numpy(view.labels), view.data.label_names
    distances = OWN_DISTANCES[own](embeddings, embeddings)
    settings = [replace(options, shots=shots) for shots in SHOTS] if options else []
    few = tuple(few_shot(embeddings, labels, names, own, setting) for setting in settings)
    answers = {"retrieval": retrieval_answers(distances, labels, trained.options.seed)}
    for setting in settings:
        episodes = sample_episodes(view.labels, names, setting)
        answers[f"{setting.ways}-way {setting.shots}-shot"] = episode_answers(embeddings, episodes, own)
    out.mkdir(parents=True, exist_ok=True)
    report = RetrievalReport(
        node=node,
        source=store.source,
        own_distance=own,
        novel_labels=len({names[label] for label in view.labels} - set(store.labels["train"])),
        retrieval=retrieval(distances, labels),
        few_shot=few,
        sheets=_write_sheets(trained, node, view, embeddings, answers, out),
    )
    text = json.dumps(report.to_dict(), indent=1, allow_nan=False) + "\n"
    (out / "retrieval.json").write_text(text, encoding="utf-8")
    (out / "retrieval.md").write_text(report.table().markdown(), encoding="utf-8")
    return report


def _write_sheets(
    trained: TrainedTree, node: str, view: NodeView, embeddings: torch.Tensor, answers: dict[str, Answers], out: Path
) -> tuple[str, ...]:
    model = trained.model(node)
    assert model is not None  # else it had embedded nothing
    # Of an earlier run with other settings, or another model.
    for earlier in [*out.glob("retrieval-*.png"), *out.glob("*-way-*-shot-*.png")]:
        earlier.unlink()
    written, words = [], trained.own_distance.replace("_", " ")
    for task, found in answers.items():
        kinds: Sequence[tuple[str, Any]] = (("right", found.right), ("wrong", found.wrong))
        for kind, chosen in kinds:
            name = f"{task.replace(' ', '-')}-{kind}.png"
            title = f"{node}: {task}, {kind} answers by the {words} distance"
            if write_answer_sheet(
                title, model, view, embeddings, chosen, trained.own_distance, trained.options.device, out / name
            ):
                written.append(name)
    return tuple(written)


def _cell(figure: Figure | None) -> str:
    return "-" if figure is None else with_interval(figure.value, figure.interval)
