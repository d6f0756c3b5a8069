"""A node's training: embed, mine, loss, over all epochs; the best epoch's weights are kept (HEML's local models)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from tasks.metric.evaluation import Precision, evaluate
from tasks.metric.fitting import fit
from tasks.metric.learner import optimiser_of
from tasks.metric.losses import loss_family
from tasks.metric.model import build_model, embed
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.seeding import seeded
from tasks.metric.training_data import NodeView, TrainingData
from tasks.mixed_precision import mixed_precision


def train_node(job: NodeJob, data: TrainingData, on_epoch: Callable[[EpochReport], None]) -> NodeResult:
    """Train a node, or go on from its last finished epoch, or take its result if it is done.

    Args:
        job: which node, from which weights, how.
        data: the node's images.
        on_epoch: called after each epoch, and at once for those that ran before an interruption.

    Raises:
        InputError: the loss is not a number; the epochs before are kept.
        OSError: the disk is full; the epochs before are kept.
    """
    labels = data.train.data.label_count
    return fit(job, data, lambda: NodeLearner(job.options, labels, job.start), on_epoch)


class NodeLearner:
    """A node's model and its loss (a `Learner`)."""

    gradient_limit: float | None = None

    def __init__(self, options: TrainingOptions, labels: int, start: Mapping[str, Tensor] | None) -> None:
        family = loss_family(options.loss)
        self.options = options
        self.own_distance = family.own_distance
        self.miner = family.miner()
        self.model = build_model(options.model).to(options.device)
        if start is not None:
            self.model.load_state_dict(start)
        # Proxies start anew at each node: children's are of other embeddings (our reading).
        with seeded(options.seed):
            self.loss_function = family.build(labels, options.embedding).to(options.device)
        self.learned: nn.Module = nn.ModuleDict({"model": self.model, "loss": self.loss_function})
        self.optimiser: torch.optim.Optimizer = optimiser_of(
            self.model.parameters(), self.loss_function.parameters(), options
        )

    def start_epoch(self, epoch: int) -> None:
        """All of it learns."""
        self.model.train()

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Embeddings alone, float32 [b, d]."""
        with mixed_precision(self.options.device):
            return (self.model(pictures),)

    def loss(self, outputs: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Mine, loss."""
        (embeddings,) = outputs
        mined = self.miner(embeddings, labels) if self.miner else None
        return self.loss_function(embeddings, labels, mined)  # type: ignore[no-any-return]

    def embed(self, view: NodeView) -> dict[str, Tensor]:
        """`embeddings`, float32 [n, d], not L2-normalised."""
        if not len(view):
            return {"embeddings": torch.empty(0, self.options.embedding)}
        device = self.options.device
        return {"embeddings": embed(self.model, view.batches(device), device)}

    def precision(self, embedded: Mapping[str, Tensor], labels: Tensor, *, intervals: bool) -> Precision:
        """P@K by the distance that fits the loss."""
        return evaluate(embedded["embeddings"], labels, self.own_distance, intervals=intervals)

    def weights(self) -> dict[str, Mapping[str, Tensor]]:
        """The model's, and the loss's in a file of their own."""
        files: dict[str, Mapping[str, Tensor]] = {"best.safetensors": self.model.state_dict()}
        if proxies := self.loss_function.state_dict():
            files["loss.safetensors"] = proxies
        return files

    def load(self, best: Mapping[str, Tensor]) -> None:
        """Take the model's weights."""
        self.model.load_state_dict(best)
