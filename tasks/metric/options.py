"""What a node is trained with. Every field is part of the node's identity."""

from dataclasses import dataclass
from typing import Literal, get_args

from tasks.errors import InputError
from tasks.metric.augment import AUGMENTATIONS, Augmentation
from tasks.metric.averaging import AVERAGING_WEIGHTS, AveragingWeights
from tasks.metric.losses import loss_family
from tasks.metric.model import ModelSpec
from tasks.segments.compose import FILLS, Fill

Absent = Literal["skip", "blank"]
ABSENT: tuple[Absent, ...] = get_args(Absent)
FramingChoice = Literal["full", "crop", "auto"]
FRAMING_CHOICES: tuple[FramingChoice, ...] = get_args(FramingChoice)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How each node of a tree is trained; the defaults are our readings where the paper says nothing.

    Attributes:
        trunk: "small", "efficientnet_lite0", "resnet12", or a classification CNN of torchvision by its name.
        weights: of the trunk before training: "none", "DEFAULT" or a local file.
        embedding: dimensions of the embedding.
        loss: name of the loss; it brings its miner and its distance.
        size: edge of the square pictures, pixels; crops of small parts are smaller.
        fill: what stands where a node's segments are not.
        framing: "full" shows the node the whole frame, "crop" a square about its part, from the full resolution;
            "auto" crops small parts only.
        absent: "skip" leaves images without any of the node's segments out; "blank" keeps them as filled pictures.
        averaging: how a combined node weighs its children.
        augmentation: what is done to training pictures at random.
        epochs: of training, at most.
        combined_epochs: of a combined node's, which starts from its children's weights; None: as many as a leaf's.
        patience: epochs in a row that are worse than the best on held-out images (`epoch_choice`), after which training
            stops.
        batch: images a step, an equal share of each class.
        learning_rate: AdamW's, at the start of a cosine to 0.
        weight_decay: AdamW's.
        seed: of initial weights, held-out tenth, batches and augmentation.
        threads: torch's threads a task; the last bits of a sum depend on it.
        device: "cpu" or "cuda".
    """

    trunk: str = "resnet18"
    weights: str = "none"
    embedding: int = 64
    loss: str = "triplet"
    size: int = 96
    fill: Fill = "black"
    framing: FramingChoice = "full"
    absent: Absent = "skip"
    averaging: AveragingWeights = "equal"
    augmentation: Augmentation = "mirror"
    epochs: int = 12
    combined_epochs: int | None = None
    patience: int = 5
    batch: int = 64
    learning_rate: float = 3e-4
    weight_decay: float = 1e-4
    seed: int = 0
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Check what can be checked without data.

        Raises:
            InputError: a value that no training can use.
        """
        loss_family(self.loss)
        choices: tuple[tuple[str, str, tuple[str, ...]], ...] = (
            ("fill", self.fill, tuple(FILLS)),
            ("framing", self.framing, FRAMING_CHOICES),
            ("absent", self.absent, ABSENT),
            ("averaging", self.averaging, AVERAGING_WEIGHTS),
            ("augmentation", self.augmentation, AUGMENTATIONS),
            ("device", self.device, ("cpu", "cuda")),
        )
        for name, value, allowed in choices:
            if value not in allowed:
                raise InputError(f"unknown {name} {value!r}: one of {', '.join(allowed)}")
        minimum = {"embedding": 2, "size": 16, "epochs": 1, "patience": 1, "batch": 4, "threads": 1, "seed": 0}
        for name, least in minimum.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} needs to be at least {least}; got {getattr(self, name)}")
        if self.combined_epochs is not None and self.combined_epochs < 1:
            raise InputError(f"combined_epochs needs to be at least 1; got {self.combined_epochs}")
        if not self.learning_rate > 0 or not self.weight_decay >= 0:
            raise InputError(
                f"learning_rate needs to be > 0 and weight_decay >= 0; got {self.learning_rate}, {self.weight_decay}"
            )

    def epochs_of(self, *, combined: bool) -> int:
        """Epochs of a combined node, or of a leaf, at most."""
        return self.combined_epochs if combined and self.combined_epochs is not None else self.epochs

    @property
    def model(self) -> ModelSpec:
        """What the node's model is built from."""
        return ModelSpec(trunk=self.trunk, weights=self.weights, embedding=self.embedding, seed=self.seed)
