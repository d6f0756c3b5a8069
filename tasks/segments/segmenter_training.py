"""The training of a segmenter: AdamW on a one-cycle schedule, over photos changed at random."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from tasks.errors import InputError
from tasks.mixed_precision import mixed_precision
from tasks.segments.segmenter import Segmenter, place
from tasks.segments.segmenter_augment import augment, mirrored_classes
from tasks.segments.segmenter_loss import class_weights, segmenter_loss
from tasks.segments.segmenter_options import SegmenterOptions

WEIGHT_DECAY = 0.01  # of matrices and kernels


def train_segmenter(
    segmenter: Segmenter,
    images: Tensor,
    targets: Tensor,
    options: SegmenterOptions,
    seed: int,
    on_progress: Callable[[str], None],
) -> tuple[float, ...]:
    """Train a segmenter's model in place; afterwards it is ready to segment, on the options' device.

    Args:
        segmenter: its processor normalises the photos.
        images: uint8 [n, 3, height, width], of the size of the model's input.
        targets: uint8 [n, height, width] of places in the segmenter's class ids.
        options: how to train.
        seed: of the order and the augmentation.
        on_progress: told a line after every epoch; what it raises ends the training.

    Returns:
        Mean loss of each epoch.

    Raises:
        InputError: the loss is not a number.
    """
    model, device = segmenter.model, torch.device(options.device)
    place(model, device)
    if device.type == "cpu":  # where a training step takes two thirds of the time so, because SegFormer's keys are few
        model.set_attn_implementation("eager")
    model.train(True)
    images, targets = images.to(device), targets.to(device)
    generator = torch.Generator().manual_seed(seed + 1)
    outputs = torch.tensor(list(segmenter.classes), device=device)
    weights = class_weights(targets, len(outputs))
    optimizer = _adamw(model, options)
    steps = math.ceil(len(images) / options.batch_size) * options.epochs
    schedule = OneCycleLR(
        optimizer, options.learning_rate, total_steps=steps, pct_start=0.1, div_factor=10, cycle_momentum=False
    )
    losses = []
    for epoch in range(1, options.epochs + 1):
        total = 0.0
        for photos, truth in _batches(segmenter, images, targets, options, generator):
            with mixed_precision(device):
                logits = model(pixel_values=photos).logits
            loss = segmenter_loss(logits[:, outputs].float(), truth, weights)  # only the outputs that a class has
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
            total += loss.item() * len(photos)
        losses.append(total / len(images))
        on_progress(f"segmenter: epoch {epoch} of {options.epochs}, loss {losses[-1]:.3f}")
    place(model, device)
    return tuple(losses)


def _batches(
    segmenter: Segmenter, images: Tensor, targets: Tensor, options: SegmenterOptions, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """All photos once, shuffled, normalised and changed at random: float32 [b, 3, h, w], and int64 [b, h, w]."""
    device = images.device
    mirror = torch.tensor(mirrored_classes(list(segmenter.classes.values())), device=device)
    mean, std = (
        torch.tensor(channels, device=device).view(3, 1, 1) * 255
        for channels in (segmenter.processor.image_mean, segmenter.processor.image_std)
    )
    order = torch.randperm(len(images), generator=generator).to(device)
    for batch in torch.split(order, options.batch_size):
        yield augment((images[batch] - mean) / std, targets[batch].long(), mirror, generator)


def _adamw(model: nn.Module, options: SegmenterOptions) -> AdamW:
    """AdamW that lets matrices and kernels decay, and leaves biases and norms."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    return AdamW(groups, lr=options.learning_rate)
