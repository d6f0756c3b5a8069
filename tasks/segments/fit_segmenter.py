"""Train a SegFormer on the photos that have label maps, and say how good it is on those held out.

The network and its files are those of the published SegFormers, so any tool that reads one reads these, and training
may start from one. Two departures make it learn from a few hundred photos on a CPU within a minute: a stem of
stride 2, so that small parts survive (logits come at half the input's size instead of a quarter), and
convolutions initialised by their fan-out as in the authors' code (transformers uses a normal distribution of 0.02).

Everything random comes from the seed: the same seed, machine and number of threads give the same weights.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F
from transformers import SegformerForSemanticSegmentation, SegformerImageProcessor

from tasks.errors import InputError
from tasks.segments.iou import confusion_matrix, iou_per_class, mean_iou, pixel_accuracy
from tasks.segments.segmenter import Segmenter, autocast, place
from tasks.segments.segmenter_augment import OUTSIDE, augment, mirrored_classes
from tasks.segments.segmenter_loss import class_weights, dice_loss
from tasks.segments.segmenter_network import new_model

LabelledPhoto = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_SIDE_STEP = 32  # input sides are multiples of the deepest stage's stride in a published SegFormer


@dataclass(frozen=True, kw_only=True)
class SegmenterOptions:
    """What to train and how. The defaults are the preset "tiny": 0.5 million parameters.

    Attributes:
        start: folder or hub name of a SegFormer to start from, with a new head; None starts from scratch with the
            sizes below.
        depths: transformer blocks of each stage.
        hidden_sizes: channels of each stage.
        heads: attention heads of each stage.
        strides: of each stage; the product of all is the deepest grid's.
        patch_sizes: kernel of each stage's embedding.
        decoder_size: channels of the head.
        size: longer side of the model's input in pixels, a multiple of 32; the other side follows from the photos'
            median proportions.
        epochs: passes over the photos.
        batch_size: photos a step.
        learning_rate: peak of the one-cycle schedule. 0.005 suits "tiny" from scratch, 0.0001 a start from trained
            weights.
        weight_decay: of AdamW, on matrices and kernels only.
        held_out: share of the photos kept for the report, in (0, 1).
        flip: mirror half of the photos; classes called left/right or l_/r_ change places.
        zoom: smallest and largest factor of the random zoom.
        device: "cpu" or "cuda".
    """

    start: str | None = None
    depths: tuple[int, ...] = (1, 1, 1, 1)
    hidden_sizes: tuple[int, ...] = (16, 32, 80, 128)
    heads: tuple[int, ...] = (1, 2, 5, 8)
    strides: tuple[int, ...] = (2, 2, 2, 2)
    patch_sizes: tuple[int, ...] = (3, 3, 3, 3)
    decoder_size: int = 32
    size: int = 128
    epochs: int = 30
    batch_size: int = 4
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    held_out: float = 0.2
    flip: bool = True
    zoom: tuple[float, float] = (0.9, 1.15)
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.size < _SIDE_STEP or self.size % _SIDE_STEP:
            raise InputError(f"segmenter: size must be a multiple of {_SIDE_STEP}; got {self.size}: 128 would do")
        if not 0 < self.held_out < 1:
            raise InputError(f"segmenter: held_out must lie between 0 and 1; got {self.held_out}: 0.2 would do")
        if self.epochs < 1 or self.batch_size < 1:
            raise InputError(f"segmenter: needs 1 epoch and batch or more; got {self.epochs} and {self.batch_size}")
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise InputError(f"segmenter: zoom must be two rising factors; got {self.zoom}: (0.9, 1.15) would do")
        stages = (self.depths, self.hidden_sizes, self.heads, self.strides, self.patch_sizes)
        if any(len(stage) != 4 for stage in stages):
            raise InputError(f"segmenter: a SegFormer has four stages; got {', '.join(map(str, stages))}")


SEGMENTER_PRESETS = {
    "tiny": SegmenterOptions(),
    # The smallest published one (MiT-B0, Xie et al. 2021), 3.7 million parameters: for thousands of photos and a GPU.
    "b0": SegmenterOptions(
        depths=(2, 2, 2, 2),
        hidden_sizes=(32, 64, 160, 256),
        strides=(4, 2, 2, 2),
        patch_sizes=(7, 3, 3, 3),
        decoder_size=256,
        size=512,
        epochs=100,
        batch_size=8,
        learning_rate=1e-3,
        zoom=(0.75, 1.5),
    ),
}


@dataclass(frozen=True, kw_only=True)
class SegmenterReport:
    """How good a segmenter is on photos that it was not trained on, each at its own size.

    Attributes:
        mean_iou: mean of `iou` over the classes that have one.
        iou: class name to intersection over union in [0, 1]; None where it is in neither the truth nor the prediction.
        pixel_accuracy: share of the pixels whose class is right.
        trained_on: photos trained on.
        held_out: photos judged on.
        losses: mean training loss of each epoch.
        seconds: of training and judging.
        parameters: number of trained weights.
        height: of the model's input in pixels.
        width: of the model's input in pixels.
    """

    mean_iou: float
    iou: dict[str, float | None]
    pixel_accuracy: float
    trained_on: int
    held_out: int
    losses: tuple[float, ...]
    seconds: float
    parameters: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class FittedSegmenter:
    """A trained segmenter and its figures."""

    segmenter: Segmenter
    report: SegmenterReport


def fit_segmenter(
    photos: Sequence[LabelledPhoto],
    classes: Mapping[int, str],
    options: SegmenterOptions,
    seed: int,
    on_progress: Callable[[str], None] | None = None,
) -> FittedSegmenter:
    """Train a SegFormer and judge it on the photos held out.

    Args:
        photos: image uint8 [3, h, w] (RGB) and label map uint8 [h, w] (class ids) of each; any sizes. Each is read
            once (those trained on twice), so the sequence may decode on demand.
        classes: class id (0..255) to name; ids may have gaps, and stay what they are.
        options: what to train and how.
        seed: of the weights, the held-out photos, the order and the augmentation.
        on_progress: told a line after every epoch; what it raises ends the training.

    Raises:
        InputError: there are fewer than two photos or classes, a label map does not fit its photo or has an id that
            `classes` lacks, the start cannot be loaded, or the loss is not a number.
    """
    started = time.monotonic()
    if len(photos) < 2 or len(classes) < 2:
        raise InputError(
            f"a segmenter needs two photos with masks and two classes or more; got {len(photos)} and {len(classes)}"
        )
    order = np.random.default_rng(seed).permutation(len(photos)).tolist()
    held_out = min(max(round(len(photos) * options.held_out), 1), len(photos) - 1)
    judged, trained = sorted(order[:held_out]), sorted(order[held_out:])

    height, width = _input_size([photos[index][0].shape for index in trained], options.size)
    processor = SegformerImageProcessor(size={"height": height, "width": width})
    images, targets = _read(photos, trained, classes, processor)
    device = torch.device(options.device)
    model = new_model(classes, options.start, _sizes(options), torch.Generator().manual_seed(seed))
    place(model, device)
    if device.type == "cpu":  # where a training step takes two thirds of the time so, because SegFormer's keys are few
        model.set_attn_implementation("eager")
    losses = _train(model, images.to(device), targets.to(device), processor, classes, options, seed, on_progress)

    place(model, device)
    segmenter = Segmenter(model, processor)
    confusion = _judge(segmenter, photos, judged, options.batch_size)
    iou = iou_per_class(confusion)
    report = SegmenterReport(
        mean_iou=mean_iou(confusion),
        iou={name: None if np.isnan(iou[i]) else float(iou[i]) for i, name in sorted(classes.items())},
        pixel_accuracy=pixel_accuracy(confusion),
        trained_on=len(trained),
        held_out=len(judged),
        losses=losses,
        seconds=time.monotonic() - started,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        height=height,
        width=width,
    )
    return FittedSegmenter(segmenter=segmenter, report=report)


def _input_size(shapes: Sequence[tuple[int, ...]], longer: int) -> tuple[int, int]:
    """Height and width of the model's input: the photos' median proportions, in steps of 32 pixels."""
    ratio = float(np.median([height / width for _, height, width in shapes]))
    shorter = max(round(longer * min(ratio, 1 / ratio) / _SIDE_STEP), 1) * _SIDE_STEP
    return (longer, shorter) if ratio >= 1 else (shorter, longer)


def _read(
    photos: Sequence[LabelledPhoto],
    chosen: Sequence[int],
    classes: Mapping[int, str],
    processor: SegformerImageProcessor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Photos and label maps at the model's input size.

    Returns:
        uint8 [n, 3, height, width], and uint8 [n, height, width] of places in the sorted class ids.
    """
    places = np.full(256, 255, np.uint8)
    places[sorted(classes)] = np.arange(len(classes))
    resize: Any = processor  # whose call lacks annotations for label maps
    images, targets = [], []
    for index in chosen:
        image, label_map = photos[index]
        if label_map.shape != image.shape[1:]:
            raise InputError(
                f"label map of photo {index} is {label_map.shape}, its photo {image.shape[1:]}: make them the same size"
            )
        unknown = [class_id for class_id in np.unique(label_map).tolist() if class_id not in classes]
        if unknown:
            raise InputError(f"label map of photo {index} has the class id {unknown[0]}, which has no name: add it")
        sized = resize(
            torch.from_numpy(image.copy()),
            segmentation_maps=torch.from_numpy(places[label_map]),
            input_data_format="channels_first",
            do_rescale=False,
            do_normalize=False,
        )
        images.append(sized["pixel_values"][0])
        targets.append(sized["labels"][0].to(torch.uint8))
    return torch.stack(images), torch.stack(targets)


def _sizes(options: SegmenterOptions) -> dict[str, Any]:
    """The sizes of the layers, as `SegformerConfig` calls them."""
    return {
        "depths": list(options.depths),
        "hidden_sizes": list(options.hidden_sizes),
        "num_attention_heads": list(options.heads),
        "strides": list(options.strides),
        "patch_sizes": list(options.patch_sizes),
        "decoder_hidden_size": options.decoder_size,
    }


def _train(
    model: SegformerForSemanticSegmentation,
    images: torch.Tensor,
    targets: torch.Tensor,
    processor: SegformerImageProcessor,
    classes: Mapping[int, str],
    options: SegmenterOptions,
    seed: int,
    on_progress: Callable[[str], None] | None,
) -> tuple[float, ...]:
    """Train on images uint8 [n, 3, h, w] and targets uint8 [n, h, w]; the mean loss of each epoch."""
    device = images.device
    generator = torch.Generator().manual_seed(seed + 1)
    ids = sorted(classes)
    outputs = torch.tensor(ids, device=device)
    mirrored = mirrored_classes(classes) if options.flip else None
    mirror = torch.tensor([ids.index(mirrored[i]) for i in ids], device=device) if mirrored is not None else None
    weights = class_weights(targets, len(ids))
    scale, shift = torch.tensor(processor.image_std) * 255, torch.tensor(processor.image_mean) * 255
    scale, shift = scale.to(device).view(3, 1, 1), shift.to(device).view(3, 1, 1)

    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": options.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=options.learning_rate,
    )
    steps = math.ceil(len(images) / options.batch_size) * options.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, total_steps=steps, pct_start=0.1, div_factor=10, cycle_momentum=False
    )
    losses = []
    model.train(True)
    for epoch in range(1, options.epochs + 1):
        total = 0.0
        for chosen in torch.split(torch.randperm(len(images), generator=generator), options.batch_size):
            batch = (images[chosen.to(device)] - shift) / scale
            batch, truth = augment(batch, targets[chosen.to(device)].long(), mirror, options.zoom, generator)
            with autocast(device):
                logits = model(pixel_values=batch).logits
            # Only the outputs that a class has; upsampled first, so that the loss sees the finer edges.
            logits = F.interpolate(
                logits[:, outputs].float(), size=truth.shape[1:], mode="bilinear", align_corners=False
            )
            loss = F.cross_entropy(logits, truth, weight=weights, ignore_index=OUTSIDE) + dice_loss(logits, truth)
            if not torch.isfinite(loss):
                raise InputError(
                    f"the segmenter's loss is {loss.item()} in epoch {epoch}: lower its learning rate "
                    f"({options.learning_rate})"
                )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        losses.append(total / len(images))
        if on_progress is not None:
            on_progress(f"segmenter: epoch {epoch} of {options.epochs}, loss {losses[-1]:.3f}")
    model.train(False)
    return tuple(losses)


def _judge(
    segmenter: Segmenter, photos: Sequence[LabelledPhoto], chosen: Sequence[int], batch_size: int
) -> NDArray[np.int64]:
    """Confusion matrix over photos, each at its own size; int64 [highest id + 1, highest id + 1]."""
    size = max(segmenter.classes) + 1
    confusion = np.zeros((size, size), np.int64)
    for start in range(0, len(chosen), batch_size):
        batch = [photos[index] for index in chosen[start : start + batch_size]]
        predicted = segmenter.segment([image for image, _ in batch], batch_size)
        for label_map, (_, truth) in zip(predicted, batch, strict=True):
            confusion += confusion_matrix(label_map, truth, size)
    return confusion
