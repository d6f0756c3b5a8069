"""How many maps a second SFAM makes, beside Grad-CAM from the package grad-cam."""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.explanation.sfam import explain_pairs, to_picture_size
from tasks.explanation.stages import stages_around
from tasks.judging.attribution import PairBatch
from tasks.judging.grad_cam_family import grad_cam_package
from tasks.judging.layer_head import embeddings_of, normalised
from tasks.judging.similarity_target import CosineTarget
from tasks.metric.model import EmbeddingModel
from tasks.paired_rounds import Ratio, Rounds, in_turns

ROUNDS = 9


@dataclass(frozen=True, kw_only=True)
class MapSpeed:
    """Maps a second, both maps of a pair counted.

    Attributes:
        layer: the explained stage.
        device: where it was measured.
        threads: of torch on the CPU.
        maps: made in one round by each method.
        rounds: that were timed.
        sfam: SFAM's maps a second, median.
        grad_cam: Grad-CAM's, median, with the embedding of the pictures that its targets need.
        grad_cam_targets_given: Grad-CAM's, median, as if the targets' embeddings were there already.
        ratio: SFAM's to Grad-CAM's.
        ratio_targets_given: the same as if the targets' embeddings were there already.
    """

    layer: str
    device: str
    threads: int
    maps: int
    rounds: int
    sfam: float
    grad_cam: float
    grad_cam_targets_given: float
    ratio: Ratio
    ratio_targets_given: Ratio


def maps_per_second(
    model: EmbeddingModel,
    pairs: PairBatch,
    layer: str,
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
) -> MapSpeed:
    """Time both methods on the same pairs and layer, in turns, each first in every other round.

    Both end with maps of all queries and supports at the pictures' size, from 0 to 1. SFAM makes a batch's maps in one
    call. Grad-CAM is used as its package shows: made once, on the model as it is, and called with the queries and
    supports in one batch, each with the other's embedding as the target; so it passes back through the whole network,
    where SFAM stops at the layer. A first, untimed round warms up.

    Args:
        model: in evaluation mode.
        pairs: the pairs.
        layer: name of the stage to explain.
        rounds: how many are timed, at least 1.
        clock: seconds.

    Raises:
        ValueError: there is no such stage.
    """
    pictures = torch.cat([pairs.query, pairs.support])
    own = copy.deepcopy(model).requires_grad_()  # Grad-CAM leaves gradients and hooks behind
    cam = grad_cam_package().GradCAM(own, [stages_around(own, layer)[0][-1]])
    device = next(model.parameters()).device

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock()

    def sfam() -> None:
        found = explain_pairs(model, pairs.query, pairs.support, layer)
        to_picture_size(torch.cat([found.query, found.support]), pictures.shape[-1]).cpu()

    targets_seconds: list[float] = []  # the untimed round's too

    def grad_cam() -> None:
        started = now()
        targets: list[Callable[[Tensor], Tensor]] = [
            CosineTarget(embedding) for embedding in embeddings_of(own, pictures).roll(len(pairs.query), dims=0)
        ]
        targets_seconds.append(now() - started)
        cam(normalised(own, pictures), targets)

    try:
        with torch.inference_mode(False), torch.enable_grad():
            timed = in_turns(sfam, grad_cam, rounds, now)
    finally:
        cam.activations_and_grads.release()
    graded = tuple(both - targets for both, targets in zip(timed.theirs, targets_seconds[1:], strict=True))
    return MapSpeed(
        layer=layer,
        device=device.type,
        threads=torch.get_num_threads(),
        maps=len(pictures),
        rounds=rounds,
        sfam=len(pictures) / statistics.median(timed.ours),
        grad_cam=len(pictures) / statistics.median(timed.theirs),
        grad_cam_targets_given=len(pictures) / statistics.median(graded),
        ratio=timed.speed,
        ratio_targets_given=Rounds(ours=timed.ours, theirs=graded).speed,
    )
