"""Photos a second of a SegFormer, beside the same one in transformers' own pipeline."""

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor, pipeline

from tasks.bench.bench_row import BenchRow
from tasks.bench.bench_setting import BenchSetting
from tasks.metric.seeding import seeded
from tasks.metric.torch_threads import torch_threads
from tasks.mixed_precision import mixed_precision
from tasks.paired_rounds import in_turns
from tasks.segments.portraits import PortraitSpec, portrait
from tasks.segments.segmenter import Segmenter, place

PHOTOS, SIZE, CLASSES, BATCH = 16, 512, 19, 8


def segmenting_rows(setting: BenchSetting) -> Iterator[BenchRow]:
    """A SegFormer-B0 of random weights: in our precision on both sides, and the pipeline as it is shipped.

    Args:
        setting: of the benchmark.
    """
    device = torch.device(setting.device)
    names = {number: f"part {number}" for number in range(CLASSES)}
    with seeded(setting.seed), torch_threads(setting.threads):
        segmenter = Segmenter(
            SegformerForSemanticSegmentation(SegformerConfig(id2label=names)),
            SegformerImageProcessor(size={"height": SIZE, "width": SIZE}),
        )
        place(segmenter.model, device)
        spec = PortraitSpec(size=SIZE, train=PHOTOS, validation=2, seed=setting.seed)
        photos = [portrait(spec, "train", number).image for number in range(PHOTOS)]

        def ours() -> None:
            segmenter.segment(photos, BATCH)

        for equal, goal in ((True, 1.2), (False, 2.0)):
            theirs = _pipeline(segmenter, photos, device, mixed=equal)
            rounds = in_turns(ours, theirs, setting.rounds)
            shown = [f"{PHOTOS / median(seconds):.1f} photos/s" for seconds in (rounds.ours, rounds.theirs)]
            yield BenchRow(
                part="segmenting",
                against="transformers.pipeline, " + ("at equal precision" if equal else "as shipped (float32)"),
                measure="photos a second",
                ratio=rounds.speed,
                rounds=setting.rounds,
                direction="at least",
                goal=goal,
                ours=shown[0],
                theirs=shown[1],
                setting=f"SegFormer-B0 of {CLASSES} classes, {SIZE} px, batches of {BATCH}",
            )


def _pipeline(
    segmenter: Segmenter, photos: list[NDArray[np.uint8]], device: torch.device, *, mixed: bool
) -> Callable[[], None]:
    segment: Any = pipeline(
        "image-segmentation", model=segmenter.model, image_processor=segmenter.processor, device=device
    )
    pictures = [Image.fromarray(photo.transpose(1, 2, 0)) for photo in photos]

    def run() -> None:
        with mixed_precision(device) if mixed else torch.autocast(device.type, enabled=False):
            segment(pictures, subtask="semantic", batch_size=BATCH)

    return run
