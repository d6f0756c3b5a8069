"""What several rooms' tests need: one real Prefect server, a tiny real segment store, and a tree trained on it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests import docstring_shapes
from tests.test_structure import METHOD_ROOMS

docstring_shapes.install([f"tasks.{room}" for room in METHOD_ROOMS])

from infra import tracking
from infra.prefect_server import prefect_server as running_prefect_server
from infra.settings import Settings, load_settings
from tasks.metric.decision import TreeDecision, decide
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.train_here import train_here
from tasks.metric.trained_tree import TrainedTree, open_trained_tree
from tasks.metric.tree_writer import write_trained_tree
from tasks.segments.pictures import encode_image, encode_label_map
from tasks.segments.shard_writer import write_shard
from tasks.segments.source import Split
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.store_row import Row, describe_segments
from tasks.segments.tree import SegmentTree, parse_tree
from tests.memory_tracker import MemoryTracker

# The same examples in every run; torch's first call of each kind is slow, so no deadline.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("repeatable")
torch.set_num_threads(1)  # tensors of tests are tiny: more threads only wait for each other


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for other processes gets a second try, which the summary tells: a shared machine may stand still."""
    for item in items:
        if item.get_closest_marker("server") or item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session", autouse=True)
def memory_trackers() -> Iterator[None]:
    """In this process ``memory:NAME`` is the address of a `MemoryTracker`, one a name."""
    named = tracking._open

    @cache
    def opened(uri: str) -> tracking.Tracker:
        return MemoryTracker() if uri.startswith("memory:") else named(uri)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "_open", opened)
        yield


@pytest.fixture(scope="session")
def server_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the session's server; its home is a temporary folder."""
    return load_settings(home=tmp_path_factory.mktemp("home"), device="cpu", workers=1)


@pytest.fixture(scope="session")
def prefect_server(server_settings: Settings) -> Iterator[str]:
    """The API's address of a temporary Prefect server, in effect for this process; mark such tests `server`."""
    given = os.environ.pop("PREFECT_API_URL", None)
    try:
        with running_prefect_server(server_settings) as url:
            yield url
    finally:
        if given is not None:
            os.environ["PREFECT_API_URL"] = given


CLASSES = {0: "ground", 1: "body", 2: "badge", 3: "spot"}
EDGE = 48
BADGE_COLOURS = {"day": (220, 40, 40), "night": (40, 40, 220)}


def drawing(number: int, split: Split) -> Row:
    """A body whose colour says nothing, and a badge that is red by "day" and blue by "night".

    Labels alternate with the number. Every tenth drawing of a label has no badge, every fourth has a spot.
    """
    label = ("day", "night")[number % 2]
    generator = np.random.default_rng([number, split == "validation"])
    label_map = np.zeros((EDGE, EDGE), dtype=np.uint8)
    image = np.empty((3, EDGE, EDGE), dtype=np.uint8)
    image[:] = generator.integers(60, 200, size=(3, 1, 1))
    top, left = int(generator.integers(0, 6)), int(generator.integers(8, 18))
    parts = [(1, (top + 2, 4, 40, 44), generator.integers(20, 236, size=3))]
    if number // 2 % 10 != 9:
        parts.append((2, (top + 8, left, 22, 20), np.array(BADGE_COLOURS[label])))
    if number // 2 % 4 == 0:
        parts.append((3, (0, 40, 6, 6), np.array((240, 240, 90))))
    for class_id, (first, start, height, width), colour in parts:
        box = np.s_[first : first + height, start : start + width]
        label_map[box] = class_id
        image[:, *box] = colour[:, None, None]
    noise = generator.integers(-12, 13, size=image.shape)
    image = (image.astype(np.int64) + noise).clip(0, 255).astype(np.uint8)
    return Row(
        image_id=f"{split}-{number:03d}",
        split=split,
        label=label,
        group=("left", None)[number % 3 == 0],
        image=encode_image(image),
        image_path=f"{number:03d}.png",
        mask=encode_label_map(label_map),
        segments=describe_segments(label_map, CLASSES),
    )


def write_drawings(
    folder: Path, *, train: int = 40, validation: int = 16, change: Callable[[Row], Row] = lambda row: row
) -> SegmentStore:
    """A store of drawings: two shards of training, one of validation."""
    shares: tuple[tuple[Split, int, int], ...] = (("train", train, 2), ("validation", validation, 1))
    for split, count, parts in shares:
        rows = [change(drawing(number, split)) for number in range(count)]
        for part in range(parts):
            write_shard(
                folder,
                split,
                rows[part * len(rows) // parts : (part + 1) * len(rows) // parts],
                source="drawings",
                classes=CLASSES,
                key=f"{split}{part}",
                part=part,
                parts=parts,
                notes={"made": "by numpy"},
            )
    return open_store(folder)


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A tree trained on the drawings, and all that it came from."""

    store: SegmentStore
    tree: SegmentTree
    options: TrainingOptions
    nodes: Path
    decoded: Path
    results: dict[str, NodeResult]
    decisions: TreeDecision
    trained: TrainedTree


@pytest.fixture(scope="session")
def make_store() -> Callable[..., SegmentStore]:
    """Writes a store of drawings to a folder."""
    return write_drawings


@pytest.fixture(scope="session")
def train_tree() -> Callable[..., dict[str, NodeResult]]:
    """Trains a tree node by node, without Prefect."""
    return train_here


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> SegmentStore:
    """40 drawings to train on and 16 to validate. Not to be written to."""
    return write_drawings(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This machine's folder of decoded splits."""
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture(scope="session")
def options() -> TrainingOptions:
    """Quick ones: a node takes about half a second."""
    return TrainingOptions(trunk="small", embedding=16, size=32, batch=16, epochs=4, learning_rate=1e-3)


@pytest.fixture(scope="session")
def tree() -> SegmentTree:
    """In it `spot` is degenerate: 5 training drawings of each label have one, and 8 are needed."""
    return parse_tree({"tree": [["body", "badge"], "spot"], "names": {"figure": ["body", "badge"]}})


@pytest.fixture(scope="session")
def grown(
    store: SegmentStore,
    tree: SegmentTree,
    options: TrainingOptions,
    decoded: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Grown:
    """The tree trained on the drawings. Not to be written to."""
    home = tmp_path_factory.mktemp("grown")
    results = train_here(tree, store, options, home / "nodes", decoded)
    decisions = decide(tree, store, results, "squared_euclidean")
    write_trained_tree(home / "model", tree, store, options, results, decisions, "auto", {"additive": None})
    return Grown(
        store=store,
        tree=tree,
        options=options,
        nodes=home / "nodes",
        decoded=decoded,
        results=results,
        decisions=decisions,
        trained=open_trained_tree(home / "model"),
    )
