"""What a segmenter's training is told."""

from dataclasses import dataclass
from typing import Any

from tasks.errors import InputError

SIDE_STEP = 32  # input sides are multiples of the deepest stage's stride in a published SegFormer


@dataclass(frozen=True, kw_only=True)
class SegmenterOptions:
    """What to train and how. By default 0.5 million parameters: for hundreds of photos and a CPU.

    Attributes:
        start: folder or hub name of a SegFormer to start from, with a new head; None starts from scratch with the
            sizes below.
        hidden_sizes: channels of each stage.
        heads: attention heads of each stage.
        decoder_size: channels of the head.
        size: longer side of the model's input in pixels, a multiple of 32; the other side follows from the photos'
            median proportions.
        epochs: passes over the photos.
        batch_size: photos a step.
        learning_rate: peak of the one-cycle schedule. 0.005 suits the default from scratch, 0.0001 a start from
            trained weights.
        held_out: share of the photos kept for the report, in (0, 1).
        device: "cpu" or "cuda".
    """

    start: str | None = None
    hidden_sizes: tuple[int, ...] = (16, 32, 80, 128)
    heads: tuple[int, ...] = (1, 2, 5, 8)
    decoder_size: int = 32
    size: int = 128
    epochs: int = 30
    batch_size: int = 4
    learning_rate: float = 5e-3
    held_out: float = 0.2
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.size < SIDE_STEP or self.size % SIDE_STEP:
            raise InputError(f"segmenter: size must be a multiple of {SIDE_STEP}; got {self.size}: 128 would do")
        if not 0 < self.held_out < 1:
            raise InputError(f"segmenter: held_out must lie between 0 and 1; got {self.held_out}: 0.2 would do")
        if self.epochs < 1 or self.batch_size < 1:
            raise InputError(f"segmenter: needs 1 epoch and batch or more; got {self.epochs} and {self.batch_size}")
        if len(self.hidden_sizes) != 4 or len(self.heads) != 4:
            raise InputError(f"segmenter: a SegFormer has four stages; got {self.hidden_sizes} and {self.heads}")

    @property
    def layers(self) -> dict[str, Any]:
        """The sizes of the layers, as `SegformerConfig` calls them."""
        return {
            "depths": [1, 1, 1, 1],
            "hidden_sizes": list(self.hidden_sizes),
            "num_attention_heads": list(self.heads),
            "strides": [2, 2, 2, 2],
            "patch_sizes": [3, 3, 3, 3],
            "decoder_hidden_size": self.decoder_size,
        }
