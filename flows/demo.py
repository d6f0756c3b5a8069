"""The demo: the whole job on synthetic portraits, from drawings to an explained pair."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.console import console
from flows.parameters import Portraits, PrepareParameters, TrainParameters
from flows.prepare_data import prepare_data, prepare_runner
from flows.train_tree import runner_for, train_tree
from infra.settings import load_settings
from tasks.explanation.explain_photos import explain_photos
from tasks.metric.options import TrainingOptions
from tasks.metric.trained_tree import open_trained_tree
from tasks.segments.portraits import PortraitSpec
from tasks.segments.store import SegmentStore, open_store

PORTRAITS = PortraitSpec(train=960, validation=320)
KNOWN_MASKS = 240
OPTIONS = TrainingOptions(trunk="small", size=64, augmentation="none", epochs=9, patience=5, batch=32)


def run_demo() -> Path:
    """Prepare, train and explain under the HEML home; call it where a Prefect server is at hand.

    Returns:
        The explanation's page.
    """
    settings = load_settings()
    home = settings.home / "demo"
    console.print(
        f"{PORTRAITS.train + PORTRAITS.validation} synthetic portraits; the {PORTRAITS.cause} carries the label, the "
        f"{PORTRAITS.shortcut} agrees with it in {PORTRAITS.shortcut_train:.0%} of the training images only",
        style="bold",
    )
    preparing = PrepareParameters(
        photos=Portraits(spec=PORTRAITS, known_masks=KNOWN_MASKS),
        out=home / "store",
        fit_segmenter=True,
        segmenter_size=96,
        segmenter_epochs=10,
    )
    with _timed("prepared"):
        prepare_data.with_options(task_runner=prepare_runner(preparing, settings))(preparing)
    training = TrainParameters(store=home / "store", tree="demo", out=home / "run", options=OPTIONS)
    with _timed("trained"):
        outcome = train_tree.with_options(task_runner=runner_for(training, settings))(training)
    with _timed("explained"):
        photos = _two_photos(open_store(home / "store"), home / "photos")
        trained = open_trained_tree(home / "run" / "model", settings.torch_device)
        explanation = explain_photos(trained, photos, (None, None), home / "explanation")
    page = home / "explanation" / "index.html"
    leaves = sorted(explanation.nodes, key=lambda node: -(node.percentile or 0.0))
    leaves = [node for node in leaves if not node.children and node.percentile is not None]
    console.print(f"\nWhy {photos[0].name} and {photos[1].name} differ, leaf by leaf:", style="bold")
    for node in leaves:
        figure = outcome["nodes"][node.name]["precision_at_1"]
        console.print(f"  {node.name:8} percentile {node.percentile:3.0f}   P@1 {figure:.2f}")
    root = outcome["nodes"][outcome["root"]]
    low, high = root["intervals"]["precision_at_1"]
    console.print(f"\nroot P@1   {root['precision_at_1']:.3f} ({low:.3f} to {high:.3f})")
    console.print(f"page       {page}\nreport     {home / 'run' / 'report.html'}\nmodel      {outcome['model_uri']}")
    return page


def _two_photos(store: SegmentStore, folder: Path) -> tuple[Path, Path]:
    """The first two validation photos of different labels, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen: dict[str, Path] = {}
    for row in store.iterate("validation"):
        if row.label not in chosen:
            chosen[row.label] = folder / f"{row.image_id}.png"
            chosen[row.label].write_bytes(row.image)
        if len(chosen) == 2:
            break
    a, b = chosen.values()
    return a, b


@contextmanager
def _timed(done: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    console.print(f"{done} in {time.perf_counter() - started:.0f} s\n", style="green")
