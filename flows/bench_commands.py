"""How long a person waits: for a command to begin, and for a second run after one leaf was changed."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import yaml

from flows.own_process import HEML, run_python
from flows.trees import PRESETS
from tasks.bench.bench_row import BenchRow, counted
from tasks.paired_rounds import ratio_over
from tasks.segments.pictures import encode_image, encode_label_map
from tasks.segments.portraits import PortraitSpec, portrait
from tasks.segments.tree import parse_tree

HELP_SECONDS, EXPLAIN_SECONDS = 0.5, 6.0
ROUNDS = 5
CHANGED, CHANGED_CLASSES = "mouth", ["lips"]
TRAINING = ("--trunk", "small", "--size", "48", "--batch", "32")
SLACK = 0.05


def start_rows(home: Path) -> Iterator[BenchRow]:
    """`heml --help`, and `heml explain` of two photos with their masks on a trained tree of 15 nodes.

    Args:
        home: of the commands; their files go there too.
    """
    yield _start_row("heml --help", _timed([*HEML, "--help"], home), HELP_SECONDS)
    store, run = home / "small-store", home / "small-run"
    run_python([*HEML, "prepare", "--portraits", "200", "--out", str(store)], home)
    train = ["train", "--store", str(store), "--tree", "demo", "--out", str(run), *TRAINING, "--epochs", "1"]
    run_python([*HEML, *train], home)
    photos = _photos(home)
    explain = [*HEML, "explain", *photos, "--model", str(run / "model"), "--out", str(home / "explanation")]
    yield _start_row("heml explain, 15 nodes", _timed(explain, home), EXPLAIN_SECONDS)


def second_run_rows(home: Path) -> Iterator[BenchRow]:
    """A training of 15 nodes, and another one after one leaf's classes were changed, by one worker.

    Each command's whole time counts, its start too; the first one also decodes the pictures.

    Args:
        home: of both.
    """
    store, trees = home / "larger-store", [home / "first.yaml", home / "second.yaml"]
    run_python([*HEML, "prepare", "--portraits", "1600", "--out", str(store)], home)
    first = yaml.safe_load((PRESETS / "demo.yaml").read_text(encoding="utf-8"))
    second = {**first, "leaves": {**first["leaves"], CHANGED: CHANGED_CLASSES}}
    seconds = []
    for tree, path in zip((first, second), trees, strict=True):
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        train = ["train", "--store", str(store), "--tree", str(path), *TRAINING, "--epochs", "6", "--patience", "6"]
        started = time.perf_counter()
        run_python([*HEML, *train], home, {"WORKERS": "1", "DEVICE": "cpu"})
        seconds.append(time.perf_counter() - started)
    whole = parse_tree(first)
    trained = sum(CHANGED in node.leaves for node in whole.nodes)
    yield BenchRow(
        part="second run, one leaf changed",
        against="the first run",
        measure="seconds",
        ratio=counted(seconds[1] / seconds[0]),
        rounds=1,
        direction="at most",
        goal=trained / len(whole.nodes) + SLACK,
        ours=f"{seconds[1]:.0f} s",
        theirs=f"{seconds[0]:.0f} s",
        setting=f"{trained} of {len(whole.nodes)} nodes are trained anew, 1,600 portraits, one worker",
    )


def _timed(arguments: Sequence[str], home: Path) -> list[float]:
    """Seconds of some runs, the first not counted."""
    seconds = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        run_python(arguments, home)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def _photos(folder: Path) -> list[str]:
    """Arguments of `heml explain`: two portraits and their masks."""
    arguments, spec = [], PortraitSpec(train=4, validation=2)
    for number, side in enumerate("ab"):
        drawn = portrait(spec, "validation", number)
        photo, mask = folder / f"{side}.png", folder / f"{side}-mask.png"
        photo.write_bytes(encode_image(drawn.image))
        mask.write_bytes(encode_label_map(drawn.label_map))
        arguments += [str(photo), f"--mask-{side}", str(mask)]
    return arguments


def _start_row(part: str, seconds: Sequence[float], limit: float) -> BenchRow:
    return BenchRow(
        part=part,
        against=f"{limit:g} s",
        measure="seconds",
        ratio=ratio_over([taken / limit for taken in seconds]),
        rounds=len(seconds),
        direction="at most",
        goal=1.0,
        ours=f"{median(seconds):.2f} s",
        theirs=f"{limit:g} s",
        setting="a process each, from its start to its end",
    )
