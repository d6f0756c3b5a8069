"""A trained node taken over to another store as it is: nothing is learned, its embeddings of these images are new."""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from tasks.metric.checkpoint import file_sha256, save_checkpoint
from tasks.metric.evaluation import Precision, evaluate
from tasks.metric.identity import TRAINING, code_version, made_of, node_key
from tasks.metric.model import embed
from tasks.metric.node_result import NodeResult, finished_result, write_result
from tasks.metric.peak_memory import peak_memory
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.training_data import training_data
from tasks.segments.store import SegmentStore


def carry_over(trained: TrainedTree, name: str, store: SegmentStore, decoded: Path, nodes: Path) -> NodeResult:
    """Embed another store's held-out and validation images by a node as it is.

    Args:
        trained: the tree that it is of.
        name: the node's.
        store: made from the one that the tree was trained on, so that no held-out image was trained on.
        decoded: folder of this machine's decoded splits.
        nodes: folder of the nodes' results.

    Returns:
        Its result on that store: of no epoch, with the checkpoint that it had.

    Raises:
        InputError: a picture cannot be decoded, or the checkpoint is missing or damaged.
    """
    options, kept = trained.node_options(name), trained.nodes[name]
    class_ids = trained.tree[name].class_ids(store.classes)
    key = node_key(
        {
            "carried": kept.sha256,
            "class_ids": class_ids,
            "store": store.digest,
            "options": asdict(options),
            "code": code_version((*made_of(TRAINING), "bias/carry.py")),
        }
    )
    folder = nodes / key
    if done := finished_result(folder, key):
        return replace(done, node=name)
    folder.mkdir(parents=True, exist_ok=True)
    data = training_data(store, class_ids, options, decoded)
    model = trained.model(name)
    precision, held_out_precision = Precision.none(len(data.validation)), None
    if model is not None:
        model = model.to(options.device)
        tensors, figures = {}, {}
        for split, view in (("validation", data.validation), ("held_out", data.held_out)):
            made = embed(model, view.batches(options.device), options.device) if len(view) else None
            tensors[split] = torch.empty(0, options.embedding) if made is None else made
            tensors[f"{split}_indices"] = torch.from_numpy(view.indices)
            figures[split] = evaluate(tensors[split], torch.from_numpy(view.labels), trained.own_distance)
        save_checkpoint(folder / "embeddings.safetensors", tensors)
        save_checkpoint(folder / "best.safetensors", model.state_dict())
        precision, held_out_precision = figures["validation"], figures["held_out"].at[1]
    result = NodeResult(
        node=name,
        key=key,
        status="degenerate" if model is None else "trained",
        reason=kept.reason,
        folder=str(folder),
        checkpoint_sha256=None if model is None else file_sha256(folder / "best.safetensors"),
        framing=kept.framing,
        size=kept.size,
        precision=precision,
        held_out_precision_at_1=held_out_precision,
        area=data.area,
        train_images=len(data.train),
        epochs=0,
        best_epoch=-1,
        seconds=0.0,
        images_per_second=0.0,
        peak_memory=peak_memory(options.device),
        parameters=0,
    )
    write_result(result)
    return result
