"""ProxyAnchor-AVSL, a baseline of HEML's Tables I and II, trained and judged as a node is (arXiv 2203.14932).

One model on the job's images, full ones for the tables: same trunk, batches, augmentation, schedule, held-out tenth and
figures as a node's, but AVSL's loss and distance. `TrainingOptions.loss` and `averaging` do not count.

From the published setting: AdamW, the gradients' norm held to 10, and with a pretrained trunk also frozen BatchNorm and
warm-up epochs in which the trunk rests. A trunk that starts from random weights has nothing to protect: its BatchNorm
learns and there is no warm-up (our reading).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from tasks.metric.avsl_loss import proxy_anchor_loss
from tasks.metric.avsl_model import build_avsl, trunk_levels
from tasks.metric.avsl_similarity import Similarity, distance_rows
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.evaluation import KS, Precision
from tasks.metric.fitting import fit
from tasks.metric.learner import optimiser_of
from tasks.metric.model import normalise
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.precision import precision_per_query
from tasks.metric.training_data import NodeView, TrainingData
from tasks.mixed_precision import mixed_precision

WARM_UP_EPOCHS = 5  # as published; at most half of all, so that the trunk learns in a short training too (our reading)
GRADIENT_LIMIT = 10.0  # as published; of all gradients together, not of each part (our reading)


def train_avsl(job: NodeJob, data: TrainingData, on_epoch: Callable[[EpochReport], None]) -> NodeResult:
    """Train ProxyAnchor-AVSL, or go on from its last finished epoch, or take its result if it is done.

    `best.safetensors` has the `AVSLModel`'s state. `embeddings.safetensors` has each level's embeddings side by side,
    float32 [n, l * d], L2-normalised a level, and their certainties as `validation_certainties` and
    `held_out_certainties`.

    Args:
        job: its name, key (`identity.avsl_identity`), folder, options; `start` is an `AVSLModel`'s state.
        data: the images.
        on_epoch: called after each epoch, and at once for those that ran before an interruption.

    Raises:
        InputError: a trunk without AVSL's levels, or the loss is not a number; the epochs before are kept.
        OSError: the disk is full; the epochs before are kept.
    """
    trunk_levels(job.options.trunk)  # refuses a trunk without them
    labels = data.train.data.label_count
    return fit(job, data, lambda: AVSLLearner(job.options, labels, job.start), on_epoch)


class AVSLLearner:
    """AVSL's model and its loss (a `Learner`)."""

    def __init__(self, options: TrainingOptions, labels: int, start: Mapping[str, Tensor] | None) -> None:
        self.options = options
        self.pretrained = options.weights != "none"
        self.warm_up = min(WARM_UP_EPOCHS, options.epochs // 2) if self.pretrained else 0
        self.model = build_avsl(options.model, labels).to(options.device)
        if start is not None:
            self.model.load_state_dict(start)
        self.learned: nn.Module = self.model
        self.gradient_limit: float | None = GRADIENT_LIMIT
        slow = [*self.model.trunk.parameters(), *self.model.embedders.parameters()]
        fast = [self.model.proxies, *self.model.similarity.parameters()]
        self.optimiser: torch.optim.Optimizer = optimiser_of(slow, fast, options)

    def start_epoch(self, epoch: int) -> None:
        """Training mode; a pretrained trunk rests while it is warm-up, and its BatchNorm always."""
        self.model.train()
        self.model.trunk.requires_grad_(epoch >= self.warm_up)
        if self.pretrained:
            for module in self.model.trunk.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Embeddings and certainties, float32 [b, l, d], and the activation maps, a level [b, d, h, w]."""
        with mixed_precision(self.options.device):
            embeddings, certainties, maps = self.model(pictures)
        return embeddings, certainties, *maps

    def loss(self, outputs: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Proxy anchor on the distance of each level and on the final one; the links move along.

        Added up with equal weight (our reading; the published commands weigh the three levels 1, 4, 4).
        """
        embeddings, certainties, *maps = outputs
        self.model.similarity.update_links(maps)
        final, levels = self.model.to_proxies(embeddings, certainties)
        return torch.stack([proxy_anchor_loss(distances, labels) for distances in (*levels, final)]).sum()

    @torch.no_grad()
    def embed(self, view: NodeView) -> dict[str, Tensor]:
        """`embeddings` and `certainties`, float32 [n, l * d] each, levels side by side."""
        self.model.eval()
        width = len(self.model.embedders) * self.options.embedding
        embeddings, certainties = [torch.empty(0, width)], [torch.empty(0, width)]
        for batch in view.batches(self.options.device):
            with mixed_precision(self.options.device):
                own, certain, _ = self.model(normalise(batch))
            embeddings.append(own.flatten(1).cpu())
            certainties.append(certain.flatten(1).cpu())
        return {"embeddings": torch.cat(embeddings), "certainties": torch.cat(certainties)}

    def precision(self, embedded: Mapping[str, Tensor], labels: Tensor, *, intervals: bool) -> Precision:
        """P@K by AVSL's distance D."""
        shape = (len(labels), len(self.model.embedders), self.options.embedding)
        embeddings, certainties = (embedded[name].reshape(shape) for name in ("embeddings", "certainties"))
        return avsl_precision(self.model.similarity, embeddings, certainties, labels, intervals=intervals)

    def weights(self) -> dict[str, Mapping[str, Tensor]]:
        """All of the model's, proxies and links included."""
        return {"best.safetensors": self.model.state_dict()}

    def load(self, best: Mapping[str, Tensor]) -> None:
        """Take the model's weights."""
        self.model.load_state_dict(best)


def avsl_precision(
    similarity: Similarity, embeddings: Tensor, certainties: Tensor, labels: Tensor, *, intervals: bool = True
) -> Precision:
    """P@K of images queried against each other by AVSL's distance, self excluded, some queries at a time.

    Args:
        similarity: AVSL's.
        embeddings: float32 [n, l, d], on the CPU.
        certainties: float32 [n, l, d], on the CPU.
        labels: int [n].
        intervals: whether to compute bootstrap intervals.
    """
    n = len(labels)
    shares: dict[int, list[Tensor]] = {k: [] for k in KS if n > k}
    start = 0
    for rows in distance_rows(similarity, embeddings, certainties, embeddings, certainties) if shares else ():
        queries = torch.arange(len(rows))
        # Farther than all others, whose distances are finite: with K of those it is neither among them nor tied.
        rows[queries, start + queries] = torch.inf
        for k, parts in shares.items():
            parts.append(precision_per_query(rows, labels[start + queries], labels, k))
        start += len(rows)
    return Precision.of_queries({k: torch.cat(parts) for k, parts in shares.items()}, n, intervals=intervals)


@torch.no_grad()
def avsl_distances(result: NodeResult, images: int) -> Tensor:
    """Distances D among the validation images of a trained AVSL model, float32 [n, n].

    Args:
        result: its training's.
        images: n.

    Raises:
        InputError: its files cannot be read.
    """
    state = load_checkpoint(result.checkpoint, result.checkpoint_sha256)
    own = {name.removeprefix("similarity."): t for name, t in state.items() if name.startswith("similarity.")}
    levels, dimensions = own["alpha"].shape[0] + 1, own["alpha"].shape[1]
    similarity = Similarity(levels, dimensions)
    similarity.load_state_dict(own)
    kept = load_checkpoint(result.embeddings)
    shape = (images, levels, dimensions)
    embeddings, certainties = (kept[name].reshape(shape) for name in ("validation", "validation_certainties"))
    return torch.cat(list(distance_rows(similarity, embeddings, certainties, embeddings, certainties)))
