"""A row's record from real trainings on the drawings, and its trip through JSON."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.metric.compare import compare_nodes
from tasks.metric.decision import label_numbers, node_embeddings
from tasks.metric.node_job import NodeJob
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import Subject, avsl_baseline, traditional_baseline
from tasks.segments.store import SegmentStore
from tasks.study.row_result import NodeRow, RowResult, read_row, read_rows, row_file, write_row
from tasks.study.summary import summarise_baseline, summarise_tree


@pytest.fixture(scope="module")
def record(grown: Any) -> RowResult:
    shape = replace(grown.results["body"], node="badge: shape only")
    return summarise_tree("triplet-heml", "k", grown.tree, grown.store, grown.options, grown.results, [shape])


def test_a_tree_s_record_holds_every_node(grown: Any, record: RowResult) -> None:
    assert (record.row, record.seed, record.key, record.whole) == ("triplet-heml", 0, "k", "root")
    assert list(record.nodes) == [node.name for node in grown.tree.nodes]
    for name, node in record.nodes.items():
        result = grown.results[name]
        assert (node.status, node.own, node.seconds) == (result.status, result.precision, result.seconds)
        assert (node.framing, node.size) == ("full", 32)
        assert node.pictures == result.epochs * result.train_images
        decision = grown.decisions.nodes.get(name)
        assert node.composed == (decision and decision.composed)
        assert node.weight == grown.decisions.weights.get(name)
    assert record.seconds == pytest.approx(sum(result.seconds for result in grown.results.values()))
    spot = record.nodes["spot"]
    assert (spot.images, spot.shares, spot.above_child) == ((), (), None)


def test_shares_are_what_the_figures_are_the_means_of(record: RowResult) -> None:
    for node in record.nodes.values():
        if node.status == "trained":
            assert len(node.images) == len(node.shares) == node.own.n
            assert sum(node.shares) / len(node.shares) == pytest.approx(node.own.at[1])
        if node.composed is not None:
            assert node.balanced is not None and node.composed_balanced is not None
            assert sum(node.composed_shares) / len(node.images) == pytest.approx(node.composed.at[1])


def test_a_combined_node_is_compared_with_its_best_child(grown: Any, record: RowResult) -> None:
    figure = record.nodes["figure"]
    best = max(("body", "badge"), key=lambda name: grown.results[name].precision.at[1])
    assert figure.best_child == best
    one, other = (node_embeddings(grown.results[name])[1] for name in ("figure", best))
    labels = label_numbers(grown.store, "validation")
    assert figure.above_child == compare_nodes(one, other, labels, "squared_euclidean")
    assert record.nodes["root"].best_child == "figure"  # the spot has no figure
    assert record.nodes["badge"].controls is not None and record.nodes["badge"].controls.shape is not None


@pytest.mark.parametrize("make", [traditional_baseline, avsl_baseline])
def test_a_baseline_s_record_has_one_node(
    make: Any, store: SegmentStore, options: TrainingOptions, decoded: Path, tmp_path: Path
) -> None:
    subject: Subject = make(replace(options, seed=2))
    job = NodeJob(node=subject.name, key="k", folder=tmp_path, options=subject.options)
    result = subject.train(job, subject.data(store, decoded), lambda _: None)
    record = summarise_baseline("baseline", "k", subject, store, result)
    assert (record.whole, record.seed, record.decision) == (subject.name, 2, "own")
    assert record.root.own == result.precision
    assert record.root.images == tuple(range(16))
    assert sum(record.root.shares) / 16 == pytest.approx(result.precision.at[1])
    assert record.root.composed_shares == ()


def test_a_record_comes_back_from_its_file(record: RowResult, tmp_path: Path) -> None:
    write_row(tmp_path, record)
    assert read_row(row_file(tmp_path, "triplet-heml", 0)) == record
    write_row(tmp_path, replace(record, seed=1))
    assert [found.seed for found in read_rows(tmp_path)] == [0, 1]


def test_a_damaged_record_is_none(record: RowResult, tmp_path: Path) -> None:
    assert read_row(row_file(tmp_path, "triplet-heml", 0)) is None
    write_row(tmp_path, record)
    path = row_file(tmp_path, "triplet-heml", 0)
    path.write_text(path.read_text()[:-20])
    assert read_row(path) is None
    assert read_rows(tmp_path) == []


def test_a_degenerate_baseline_has_no_shares(store: SegmentStore, options: TrainingOptions, grown: Any) -> None:
    lost = replace(grown.results["spot"], node="traditional")
    record = summarise_baseline("baseline", "k", traditional_baseline(options), store, lost)
    assert (record.root.shares, record.root.images, record.root.status) == ((), (), "degenerate")
    assert isinstance(record.root, NodeRow) and torch.tensor(record.root.shares).numel() == 0
