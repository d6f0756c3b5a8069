from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.identity import avsl_identity, node_identity, node_key
from tasks.metric.node_job import NodeJob
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import (
    Subject,
    avsl_baseline,
    background_control,
    node_subject,
    shape_control,
    traditional_baseline,
)
from tasks.segments.compose import FILLS
from tasks.segments.decoded import decode
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree


def test_a_node_is_known_by_what_it_sees_and_not_by_its_name(
    tree: SegmentTree, store: SegmentStore, options: TrainingOptions
) -> None:
    badge = node_subject(tree["badge"], store, options)
    assert (badge.class_ids, badge.shown, badge.avsl, badge.options) == ((2,), "photo", False, options)
    assert badge.key(store) == node_key(node_identity((2,), store.digest, options, []))
    assert replace(badge, name="mark").key(store) == badge.key(store)
    assert badge.key(store, ["x", "y"]) != badge.key(store)


def test_a_node_s_framing_and_size_are_its_own(
    tree: SegmentTree, store: SegmentStore, options: TrainingOptions
) -> None:
    large = replace(options, size=96, framing="auto")
    assert node_subject(tree["root"], store, large).options.framing == "full"
    assert node_subject(tree["spot"], store, large).options.framing == "crop"


def test_a_combined_node_may_have_fewer_epochs(
    tree: SegmentTree, store: SegmentStore, options: TrainingOptions
) -> None:
    few = replace(options, combined_epochs=1)
    assert {node.name: node_subject(node, store, few).options.epochs for node in tree.nodes} == {
        "body": 4, "badge": 4, "spot": 4, "figure": 1, "root": 1
    }  # fmt: skip

    def keys(name: str, children: list[str]) -> set[str]:
        return {node_subject(tree[name], store, own).key(store, children) for own in (options, few)}

    assert len(keys("badge", [])) == 1
    assert len(keys("figure", ["x", "y"])) == 2


def test_the_shape_control_sees_the_mask_where_the_leaf_sees_the_photo(
    tree: SegmentTree, store: SegmentStore, options: TrainingOptions, decoded: Path
) -> None:
    leaf, shape = node_subject(tree["badge"], store, options), shape_control(tree["badge"], store, options)
    assert shape.name == "badge: shape only"
    assert shape.key(store) != leaf.key(store)
    seen, masked = leaf.data(store, decoded).validation, shape.data(store, decoded).validation
    assert masked.indices.tolist() == seen.indices.tolist()
    every = np.arange(len(seen))
    pictures, masks = seen.pictures(every, "cpu"), masked.pictures(every, "cpu")
    assert set(masks.unique().tolist()) == {0, 255}
    assert torch.equal(masks.amax(dim=1) > 0, pictures.amax(dim=1) > 0)


def test_the_background_control_sees_what_is_behind_everything(
    store: SegmentStore, options: TrainingOptions, decoded: Path
) -> None:
    control = background_control(replace(options, fill="background", framing="auto"))
    assert (control.name, control.class_ids) == ("background only", (0,))
    view = control.data(store, decoded).validation
    split = decode(store, "validation", options.size, decoded)
    for picture, row in zip(view.pictures(np.arange(4), "cpu").numpy(), range(4), strict=True):
        np.testing.assert_array_equal(picture, np.where(split.label_maps[row] == 0, split.images[row], 0))


def test_the_baselines_see_whole_photos(store: SegmentStore, options: TrainingOptions, decoded: Path) -> None:
    cropping = replace(options, framing="auto")
    for baseline in (traditional_baseline(cropping), avsl_baseline(cropping)):
        view = baseline.data(store, decoded).validation
        split = decode(store, "validation", options.size, decoded)
        np.testing.assert_array_equal(view.pictures(np.arange(16), "cpu").numpy(), split.images)
    traditional, avsl = traditional_baseline(options), avsl_baseline(options)
    # The traditional model is a root that starts anew.
    assert traditional.key(store) == node_key(node_identity(None, store.digest, options, []))
    assert avsl.key(store) == node_key(avsl_identity(None, store.digest, options))


def test_each_is_trained_by_its_own_method(
    store: SegmentStore, options: TrainingOptions, decoded: Path, tmp_path: Path
) -> None:
    def weights(subject: Subject) -> set[str]:
        job = NodeJob(
            node=subject.name, key="k", folder=tmp_path / subject.name, options=replace(subject.options, epochs=1)
        )
        result = subject.train(job, subject.data(store, decoded), lambda _: None)
        assert (result.node, result.status, result.precision.n) == (subject.name, "trained", 16)
        return set(load_checkpoint(result.checkpoint))

    traditional, avsl = weights(traditional_baseline(options)), weights(avsl_baseline(options))
    assert "proxies" in avsl and "proxies" not in traditional
    assert "embedder.0.weight" in traditional


def test_a_mask_has_no_fill_so_one_control_serves_all(
    tree: SegmentTree, store: SegmentStore, options: TrainingOptions
) -> None:
    keys = {shape_control(tree["badge"], store, replace(options, fill=fill)).key(store) for fill in FILLS}
    assert len(keys) == 1
    assert len({node_subject(tree["badge"], store, replace(options, fill=fill)).key(store) for fill in FILLS}) == 4
