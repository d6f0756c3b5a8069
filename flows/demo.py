"""The demo: the whole job on synthetic portraits, from drawings to an explained pair."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows.console import console
from flows.parameters import PrepareParameters, TrainParameters
from flows.photo_sources import Portraits
from flows.prepare_data import prepare_data, prepare_runner
from flows.train_tree import runner_for, train_tree
from infra.settings import load_settings
from tasks.code_digest import code_digest
from tasks.explanation.explain_photos import explain_photos
from tasks.metric.options import TrainingOptions
from tasks.metric.trained_tree import open_trained_tree
from tasks.segments.pictures import encode_image
from tasks.segments.portraits import PortraitSpec, opposite_pair

PORTRAITS = PortraitSpec(train=960, validation=320)
KNOWN_MASKS = 240
OPTIONS = TrainingOptions(
    trunk="small", size=48, framing="crop", augmentation="mirror", epochs=10, patience=6, batch=32
)


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
        nodes = _explain(home, settings.torch_device)
    page = home / "explanation" / "index.html"
    leaves = [node for node in nodes if not node["children"] and node["standing"] is not None]
    console.print(
        f"\nOne person, drawn twice; the {PORTRAITS.cause} differs. Each part: how many of the pairs of one label are "
        "closer there, and how often it tells the label",
        style="bold",
    )
    for node in sorted(leaves, key=lambda leaf: -leaf["standing"]):
        figure = outcome["nodes"][node["name"]]["precision_at_1"]
        console.print(f"  {node['name']:8} {node['standing']:3.0f} %   P@1 {figure:.2f}")
    root = outcome["nodes"][outcome["root"]]
    figures = root["composed"] if outcome["decision"] == "composed" else root
    low, high = figures["intervals"]["precision_at_1"]
    by = f"by the {outcome['decision']} decision"
    console.print(f"\nroot P@1   {figures['precision_at_1']:.3f} ({low:.3f} to {high:.3f}), {by}")
    console.print(f"page       {page}\nreport     {home / 'run' / 'report.html'}\nmodel      {outcome['model_uri']}")
    return page


def _explain(home: Path, device: str) -> list[dict[str, Any]]:
    """Explain the pair, unless that was done with the same model, photos and code; the nodes of explanation.json."""
    photos, model, out = _two_photos(home / "photos"), home / "run" / "model", home / "explanation"
    made_of = hashlib.sha256(code_digest().encode())
    for path in (model / "tree.json", *photos):
        made_of.update(path.read_bytes())
    mark = out / "made-of.txt"
    if not (mark.is_file() and mark.read_text(encoding="utf-8") == made_of.hexdigest()):
        mark.unlink(missing_ok=True)
        explain_photos(open_trained_tree(model, device), photos, (None, None), out)
        mark.write_text(made_of.hexdigest(), encoding="utf-8")
    nodes: list[dict[str, Any]] = json.loads((out / "explanation.json").read_text(encoding="utf-8"))["nodes"]
    return nodes


def _two_photos(folder: Path) -> tuple[Path, Path]:
    """One person drawn twice, as files: only the cause's look differs, and with it the label; so do pose and light."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = opposite_pair(PORTRAITS, 0)
    for drawn in pair:
        (folder / f"{drawn.label}.png").write_bytes(encode_image(drawn.image))
    return folder / f"{pair[0].label}.png", folder / f"{pair[1].label}.png"


@contextmanager
def _timed(done: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    console.print(f"{done} in {time.perf_counter() - started:.0f} s\n", style="green")
