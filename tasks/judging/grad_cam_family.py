"""Grad-CAM and its family, from the package grad-cam, with the similarity to the support's embedding as the score.

The package gets the query's feature maps and a copy of the network behind them (`LayerHead`), so that it passes back to
the layer and no further; Score-CAM, which masks pictures, gets the pictures and the whole network. What the package
does to every map: ReLU, twice scaled to [0, 1] by its own minimum and maximum, and in between OpenCV's bilinear
resizing, which is `align_corners=False`. At the layer's own size that resizing does nothing; ours follows.

Some of the package's own ways to know when reading the maps:

* Grad-CAM++ adds 1e-6 to a denominator of squared gradients. A cosine's are far smaller, and the weights would become
  sums of cubes. Maps in a large unit have large gradients, and the formula does not change with the unit: so it is
  given maps divided by 2^24.
* After the ReLU a map that is nowhere positive is 0 everywhere, which says nothing.
* EigenCAM does not look at the score, and the sign of a principal component is arbitrary.
* Score-CAM takes a softmax over channels of the scores themselves. Cosines differ little, so its weights hardly do: the
  map is close to the plain sum of activations.
* Score-CAM masks the normalised picture, towards ImageNet's mean colour, and upsamples with `align_corners=True`.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.explanation.feature_sfam import layer_features
from tasks.explanation.stages import stages_around
from tasks.judging.attribution import PairBatch
from tasks.judging.layer_head import (
    LayerHead,
    at_picture_size,
    embeddings_of,
    normalised,
)
from tasks.judging.similarity_target import CosineTarget
from tasks.metric.model import EmbeddingModel

Target = Callable[[Tensor], Tensor]
LARGE_UNIT = 2.0**24  # for Grad-CAM++
PICTURES_AT_ONCE = 64  # through the network, of those with a masked or ablated channel
_PROGRESS_BARS = threading.Lock()


def grad_cam(
    kind: str, target: Callable[[Tensor], Target], unit: float = 1.0
) -> Callable[[EmbeddingModel, PairBatch, str], Tensor]:
    """A method of the package that looks at the layer's maps and gradients in one pass.

    Args:
        kind: the package's class: "GradCAM", "GradCAMPlusPlus", "LayerCAM" or "EigenCAM".
        target: makes the score from the support's embedding, [d].
        unit: of the maps that the package gets; a power of 2 rounds nothing.

    Returns:
        An `Attribution.attribute`; in [0, 1].
    """

    def attribute(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
        cams = grad_cam_package()
        features, supports = layer_features(model, pairs.query, layer), embeddings_of(model, pairs.support)
        with torch.inference_mode(False), torch.enable_grad():
            head = LayerHead(model, layer, unit)
            cam = getattr(cams, kind)(head, [head.maps])
            maps = _maps(cam, (features / unit).requires_grad_(), [target(support) for support in supports])
        return at_picture_size(torch.from_numpy(maps), pairs.query)

    return attribute


def score_cam(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """Score-CAM (Wang et al. 2020): a channel weighs what the cosine is when only its places are shown.

    One pass of the whole network for each channel, and pairs one by one: the package holds a masked picture of each
    channel at once.

    Args and returns: as `Attribution.attribute`; in [0, 1].
    """
    cams = grad_cam_package()
    pictures, supports = normalised(model, pairs.query), embeddings_of(model, pairs.support)
    with torch.inference_mode(False), torch.no_grad():
        head = LayerHead(model, layer)
        before = nn.Sequential(*stages_around(head.model, layer)[0])
        network = nn.Sequential(OrderedDict(before=before, head=head))
        maps = []
        for picture, support in zip(pictures, supports, strict=True):
            cam = cams.ScoreCAM(network, [head.maps])
            cam.batch_size = PICTURES_AT_ONCE
            with _without_progress_bars(cams.score_cam):
                maps.append(_maps(cam, picture[None], [CosineTarget(support)]))
    return at_picture_size(torch.from_numpy(np.concatenate(maps)), pairs.query)


def ablation_cam(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """Ablation-CAM (Desai and Ramaswamy 2020): a channel weighs the share of the score that is lost without it.

    The score is the cosine plus 1: the share of a negative cosine would turn the signs. A channel is set to 0, as in
    the paper; the package's own way where a layer's least activation is not 0 (it subtracts 1e7) is not taken.

    Args and returns: as `Attribution.attribute`; in [0, 1].
    """
    cams = grad_cam_package()
    features, supports = layer_features(model, pairs.query, layer), embeddings_of(model, pairs.support)
    with torch.inference_mode(False), torch.no_grad():
        head = LayerHead(model, layer)
        cam = cams.AblationCAM(head, [head.maps], ablation_layer=ChannelsToZero(), batch_size=PICTURES_AT_ONCE)
        with _without_progress_bars(cams.ablation_cam):
            maps = _maps(cam, features, [CosineTarget(support, plus=1.0) for support in supports])
    return at_picture_size(torch.from_numpy(maps), pairs.query)


class ChannelsToZero(nn.Module):
    """Stands in for a layer: a picture's maps again and again, each time with another channel at 0.

    The names are those by which the package's Ablation-CAM asks; it takes the used ones off `indices`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.indices: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self.activations = torch.empty(0)

    def activations_to_be_ablated(self, activations: NDArray[np.float32], _share: float) -> NDArray[np.intp]:
        """Maps, float32 [c, h, w], to all their channels, int64 [c]."""
        self.indices = np.arange(len(activations))
        return self.indices

    def set_next_batch(self, input_batch_index: int, activations: Tensor, num_channels_to_ablate: int) -> None:
        """Repeat one picture's maps, of [n, c, h, w]."""
        self.activations = activations[input_batch_index].repeat(num_channels_to_ablate, 1, 1, 1)

    def forward(self, _maps: Tensor) -> Tensor:
        """[b, c, h, w], the next b channels at 0."""
        ablated = self.activations.clone()
        rows = torch.arange(len(ablated))
        ablated[rows, torch.from_numpy(self.indices[: len(ablated)])] = 0
        return ablated


def grad_cam_package() -> ModuleType:
    """The package grad-cam."""
    import pytorch_grad_cam  # noqa: PLC0415 (takes seconds, and the rest of the room does without it)

    return pytorch_grad_cam  # type: ignore[no-any-return]


def _maps(cam: Any, inputs: Tensor, targets: list[Target]) -> NDArray[np.float32]:
    try:
        with np.errstate(all="ignore"):  # what is not a number becomes 0 later
            return cam(inputs, targets)  # type: ignore[no-any-return]
    finally:
        cam.activations_and_grads.release()


@contextmanager
def _without_progress_bars(module: ModuleType) -> Iterator[None]:
    """The package's progress bars cannot be switched off; other threads wait meanwhile."""
    with _PROGRESS_BARS:
        shown = module.tqdm
        module.tqdm = SimpleNamespace(tqdm=iter)  # type: ignore[attr-defined]
        try:
            yield
        finally:
            module.tqdm = shown  # type: ignore[attr-defined]
