"""One photo's embedding by one node, made as the node's own pictures are."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.metric.model import embed
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.compose import compose, present
from tasks.segments.framing import frame


def embed_photo(
    trained: TrainedTree, name: str, image: NDArray[np.uint8], label_map: NDArray[np.uint8]
) -> tuple[Tensor | None, bool]:
    """A photo's embedding by a node, and whether it shows the node's part.

    Args:
        trained: the tree; its models run on the device of its options.
        name: of the node.
        image: uint8 [3, h, w].
        label_map: uint8 [h, w], class ids of the tree's class table.

    Returns:
        float32 [d], not L2-normalised; None without the part, unless the tree was trained on blank pictures too. And
        whether the part is there.

    Raises:
        InputError: its checkpoint is damaged.
        ValueError: the node is degenerate.
    """
    options, class_ids = trained.node_options(name), trained.tree[name].class_ids(trained.classes)
    framed, labels = frame(image, label_map, class_ids, trained.nodes[name].framing, options.size)
    images, label_maps = torch.from_numpy(framed.copy())[None], torch.from_numpy(labels.copy())[None]
    there = bool(present(label_maps, class_ids))
    if not there and options.absent == "skip":
        return None, there
    model = trained.model(name)
    if model is None:
        raise ValueError(f"a degenerate node embeds no photo; got {name!r}")
    pictures = compose(images, label_maps, class_ids, options.fill)
    return embed(model.to(options.device), [pictures], options.device)[0], there
