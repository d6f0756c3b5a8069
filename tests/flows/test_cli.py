"""Wrong input: one line, exit code 2, no traceback, nothing lost."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows import cli
from infra.processes import ServerError
from tasks.segments.pictures import encode_image, encode_label_map
from tasks.segments.shard_writer import shard_path
from tasks.segments.store import SegmentStore, open_store
from tests.flows.command_line import Ended, Heml


def photo_folder(root: Path, labels: str = "id,kind\n") -> list[str]:
    """24 photos in two colours with masks of two classes."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(24):
        image = rng.integers(0, 60, (3, 24, 24), dtype=np.uint8)
        image[number % 2, 6:18, 6:18] += 150
        label_map = np.zeros((24, 24), dtype=np.uint8)
        label_map[6:18, 6:18] = 1
        label_map[6:9, 6:9] = 2
        (root / "images" / f"{number:02d}.png").write_bytes(encode_image(image))
        (root / "masks" / f"{number:02d}.png").write_bytes(encode_label_map(label_map))
        labels += f"{number:02d},{'red' if number % 2 == 0 else 'green'}\n"
    (root / "classes.json").write_text(json.dumps({"0": "ground", "1": "box", "2": "corner"}))
    (root / "labels.csv").write_text(labels)
    return [
        *("prepare", "--images", str(root / "images"), "--masks", str(root / "masks")),
        *("--classes", str(root / "classes.json"), "--labels", str(root / "labels.csv"), "--label", "kind"),
    ]


@pytest.mark.server
def test_a_process_of_its_own_ends_with_a_code_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)  # it starts a server of its own
    prepare = photo_folder(tmp_path / "data")
    command = [sys.executable, "-c", "from flows.cli import main; main()", "--home", str(tmp_path / "home")]
    command += [*prepare, "--out", str(tmp_path / "store")]
    process(*command).done()
    process(*command[:5], "train", "--store", str(tmp_path / "store"), "--trunk", "resnet81").refused("resnet18")
    (tmp_path / "data" / "images" / "03.png").write_bytes(b"no picture")
    process(*command).refused("03.png")


def process(*command: str) -> Ended:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.mark.server
def test_prepare_from_a_folder_and_what_is_refused(heml: Heml, tmp_path: Path) -> None:
    prepare = photo_folder(tmp_path / "data")
    store = tmp_path / "store"
    stray = tmp_path / "data" / "images" / "stray.png"
    stray.write_bytes(b"")
    done = heml(*prepare, "--out", store).done()
    assert "20 training and 4 validation images" in done.out
    assert "labels.csv does not list: 'stray'" in done.out and "left out 1 photo that" in done.out
    stray.unlink()
    shard = shard_path(store, "train", 0).read_bytes()

    image = tmp_path / "data" / "images" / "03.png"
    good = image.read_bytes()
    image.write_bytes(b"no picture")
    heml(*prepare, "--out", store).refused("03.png")
    image.write_bytes(encode_image(np.zeros((3, 30, 30), dtype=np.uint8)))
    heml(*prepare, "--out", store).refused("03.png", "24", "30")
    image.write_bytes(good)
    mask = tmp_path / "data" / "masks" / "03.png"
    mask.write_bytes(encode_label_map(np.full((24, 24), 9, dtype=np.uint8)))
    heml(*prepare, "--out", store).refused("03.png", "9")
    assert shard_path(store, "train", 0).read_bytes() == shard  # nothing lost


@pytest.mark.server
@pytest.mark.parametrize("a_shard", [8, 250], ids=["in three shards", "in one"])
def test_every_wrong_photo_is_told_at_once(
    a_shard: int, heml: Heml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.segments.shards.PHOTOS_A_SHARD", a_shard)
    prepare = photo_folder(tmp_path / "data")
    for number in (0, 2):
        (tmp_path / "data" / "images" / f"{number:02d}.png").write_bytes(b"no picture")
        unknown = encode_label_map(np.full((24, 24), number + 9, dtype=np.uint8))
        (tmp_path / "data" / "masks" / f"{number + 1:02d}.png").write_bytes(unknown)
    ended = heml(*prepare, "--out", tmp_path / "store").refused(".png")
    told = ended.out + ended.err
    assert all(f"{number:02d}.png" in told for number in range(4)), told
    assert all(f"has the class id {number}" in told for number in (9, 11)), told


@pytest.mark.server
def test_prepare_refuses_wrong_labels(heml: Heml, tmp_path: Path) -> None:
    prepare = photo_folder(tmp_path / "data")
    wrong = [*prepare[:-1], "nowhere"]
    heml(*wrong, "--out", tmp_path / "store").refused("nowhere", "kind")
    labels = tmp_path / "data" / "labels.csv"
    labels.write_text(labels.read_text().replace("green", "red"))
    heml(*prepare, "--out", tmp_path / "store").refused("label")


@pytest.mark.server
def test_prepare_labels_by_a_segment(heml: Heml, tmp_path: Path) -> None:
    folder = [*photo_folder(tmp_path / "data")[:7]]
    for number in range(12):  # the corner goes from half of the photos
        label_map = np.zeros((24, 24), dtype=np.uint8)
        label_map[6:18, 6:18] = 1
        (tmp_path / "data" / "masks" / f"{number:02d}.png").write_bytes(encode_label_map(label_map))
    store, prepare = tmp_path / "store", [*folder, "--out", str(tmp_path / "store"), "--label-segment"]
    done = heml(*prepare, "corner").done()
    assert "reading every mask once" in done.out
    labels = open_store(store).columns("train", ["image_id", "label"])
    assert {name: label == "corner" for name, label in zip(labels["image_id"], labels["label"], strict=True)} == {
        name: int(name) >= 12 for name in labels["image_id"]
    }
    heml(*folder[:3], "--out", store).refused("labels.csv", "id and label")
    heml(*prepare, "roof").refused("'roof'", "ground, box, corner")
    heml(*prepare, "corner", "--label", "kind").refused("'kind'", "'corner'", "give one")


def test_prepare_takes_one_source(heml: Heml, tmp_path: Path) -> None:
    heml("prepare", "--out", tmp_path / "store").refused("--portraits")


@pytest.mark.server
def test_train_refuses_a_tree_of_unknown_segments(heml: Heml, tmp_path: Path, store: SegmentStore) -> None:
    tree = tmp_path / "tree.yaml"
    tree.write_text("tree: [body, beard]")
    heml("train", "--store", store.path, "--tree", tree).refused("beard", "badge")


@pytest.mark.server
def test_what_no_node_can_be_trained_with_is_said_before_any_starts(
    heml: Heml, tmp_path: Path, store: SegmentStore, grown, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # leads nowhere; this machine's servers do not need it
    (tmp_path / "file").write_text("")
    for folder in ("model", "segmenter"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
        (tmp_path / "mine" / folder / "notes.txt").write_text("mine")
    heml("train", "--store", store.path, "--out", tmp_path / "mine").refused("model would be replaced", "no tree.json")
    (tmp_path / "mine" / "segmenter" / "config.json").write_text("{}")  # a model of the user's own
    heml("prepare", "--portraits", 8, "--out", tmp_path / "mine").refused("segmenter would be replaced", "--out")
    assert len(list((tmp_path / "mine").rglob("notes.txt"))) == 2
    done = heml("train", "--store", store.path, "--out", tmp_path / "file" / "run")
    done.refused("cannot be written to", "--out")
    heml("prepare", "--portraits", 8, "--out", tmp_path / "file" / "store").refused("cannot be written to", "--out")
    two = (tmp_path / "a.png", tmp_path / "b.png", "--model", grown.trained.path)
    heml("explain", *two, "--out", tmp_path / "file" / "explained").refused("cannot be written to", "--out")
    done = heml("train", "--store", store.path, "--trunk", "resnet81")
    done.refused("unknown trunk 'resnet81': did you mean resnet18")
    assert "NotReady" not in done.out


def test_what_ctrl_c_leaves_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def prepare() -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.app.registered_commands[0].__dict__, "callback", prepare)
    monkeypatch.setattr("sys.argv", ["heml", "prepare"])
    with pytest.raises(SystemExit, match="130"):
        cli.main()
    assert "the same command goes on with it" in capsys.readouterr().err


@pytest.mark.server
def test_train_says_what_fits_and_refuses_a_tree_without_a_trainable_leaf(
    heml: Heml,
    tmp_path: Path,
    make_store,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = make_store(tmp_path / "store", train=10, validation=4)
    monkeypatch.setattr("flows.trees.PRESETS", tmp_path)
    for name, leaves in (("drawing", "[body, badge]"), ("face", "[hair, badge]")):
        (tmp_path / f"{name}.yaml").write_text(f"tree: {leaves}\n")
    run = heml("train", "--store", store.path, "--trunk", "small", "--size", 16)
    run.refused("degenerate", "body", "8 are needed")
    assert "--tree drawing, 3 nodes instead of 5" in run.out and "--tree face" not in run.out
    assert "P@1 by chance 0.333" in run.out  # two of each label


def test_explain_refuses_a_damaged_checkpoint(heml: Heml, tmp_path: Path, grown) -> None:  # type: ignore[no-untyped-def]
    model = tmp_path / "model"
    shutil.copytree(grown.trained.path, model)
    node = next(node for node in grown.trained.nodes.values() if node.file)
    content = bytearray((model / node.file).read_bytes())
    content[-1] ^= 1
    (model / node.file).write_bytes(content)
    row = next(grown.store.iterate("validation"))
    (tmp_path / "a.png").write_bytes(row.image)
    (tmp_path / "m.png").write_bytes(row.mask)
    pair = ("explain", tmp_path / "a.png", tmp_path / "a.png", "--mask-a", tmp_path / "m.png")
    run = heml(*pair, "--mask-b", tmp_path / "m.png", "--model", model, "--out", tmp_path / "out")
    run.refused("SHA-256")


def test_explain_without_masks_needs_a_segmenter(heml: Heml, tmp_path: Path, grown) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a.png").write_bytes(next(grown.store.iterate("validation")).image)
    run = heml(
        *("explain", tmp_path / "a.png", tmp_path / "a.png", "--model", grown.trained.path, "--out", tmp_path / "out")
    )
    run.refused("--mask-a")


def test_explain_evaluate_and_export_write_what_they_say(heml: Heml, tmp_path: Path, grown) -> None:  # type: ignore[no-untyped-def]
    for name, row in zip("ab", grown.store.iterate("validation"), strict=False):
        (tmp_path / f"{name}.png").write_bytes(row.image)
        (tmp_path / f"{name}-mask.png").write_bytes(row.mask)
    out = tmp_path / "out"
    heml(
        *("explain", tmp_path / "a.png", tmp_path / "b.png", "--model", grown.trained.path, "--out", out),
        *("--mask-a", tmp_path / "a-mask.png", "--mask-b", tmp_path / "b-mask.png"),
    ).done()
    explanation = json.loads((out / "explanation.json").read_text())
    assert [node["name"] for node in explanation["nodes"]] == [node.name for node in grown.tree.nodes]
    assert (out / "index.html").is_file() and (out / "tree.png").is_file()

    written = tmp_path / "evaluation.json"
    run = ("evaluate", "--model", grown.trained.path, "--store", grown.store.path, "--json", written)
    assert heml(*run).done().out.startswith(f"opening {grown.trained.path}\n")
    nodes = json.loads(written.read_text())["nodes"]
    for name, result in grown.results.items():  # the same data, so the same figures as in training
        assert nodes[name]["precision_at_1"] == result.precision.at[1]
        assert nodes[name]["n"] == result.precision.n

    tree = tmp_path / "tree.yaml"
    tree.write_text("tree: [body, badge]")
    run = ("export", "--store", grown.store.path, "--node", "badge", "--tree", tree, "--out", tmp_path / "badges")
    heml(*run).done()
    shown = sum(
        any(segment["name"] == "badge" for segment in row.segments)
        for split in ("train", "validation")
        for row in grown.store.iterate(split)
    )
    assert len(list((tmp_path / "badges").rglob("*.png"))) == shown


def test_explain_takes_a_table_of_pairs(heml: Heml, tmp_path: Path, grown) -> None:  # type: ignore[no-untyped-def]
    for name, row in zip("ab", grown.store.iterate("validation"), strict=False):
        (tmp_path / f"{name}.png").write_bytes(row.image)
        (tmp_path / f"{name}-mask.png").write_bytes(row.mask)
    table, out = tmp_path / "pairs.csv", tmp_path / "out"
    pair = "{}.png,{}.png,{}-mask.png,{}-mask.png\n"
    table.write_text("photo_a,photo_b,mask_a,mask_b\n" + pair.format(*"abab") + pair.format(*"bbbb"))
    run = ("explain", "--model", grown.trained.path, "--out", out)
    done = heml(*run, "--pairs", table).done()
    opening, first, second, page = done.out.splitlines()
    assert opening == f"opening {grown.trained.path}"  # said at once: torch takes seconds
    assert first.startswith("001  similarity 0.") and second.startswith("002  similarity 1.000; closer than ")
    assert page == f"page: {out / 'index.html'}"
    assert sorted(path.name for path in out.iterdir()) == ["001", "002", "index.html"]
    table.write_text(table.read_text() + "gone.png,a.png,,\n")
    heml(*run, "--pairs", table).refused("pairs.csv, line 4", "gone.png")
    for wrong in ((), (tmp_path / "a.png",), (tmp_path / "a.png", tmp_path / "b.png", "--pairs", table)):
        heml(*run, *wrong).refused("two photos", "--pairs FILE.csv")


def test_a_folder_that_is_no_store_is_refused(heml: Heml, tmp_path: Path) -> None:
    heml("export", "--store", tmp_path, "--node", "x", "--out", tmp_path / "o").refused("heml prepare")
    few = ("--limit", 0, "--out", tmp_path / "o")
    heml("export", "--store", tmp_path, "--node", "x", *few).refused("--limit needs at least 1; got 0")


@pytest.mark.parametrize(
    "command", ["train", "audit", "deflate", "judge", "retrieve", "evaluate", "search", "reproduce"]
)
def test_a_folder_that_is_not_there_is_said_before_anything_starts(
    command: str, heml: Heml, tmp_path: Path, grown, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    for module in ("cli_train", "cli_audit", "cli_deflate", "cli_judge", "cli_study"):
        monkeypatch.delattr(f"flows.{module}.prefect_at_terminal")  # nothing starts
    monkeypatch.delattr("tasks.metric.trained_tree.open_trained_tree")
    out = () if command == "evaluate" else ("--out", tmp_path / "out")
    of_node = (tmp_path / "a.png", "--node", "body") if command == "search" else ()
    model = () if command in ("train", "reproduce") else ("--model", grown.trained.path)
    heml(command, *of_node, *model, *out, "--store", tmp_path / "gone").refused("gone is not a segment store")
    if model:
        given = ("--model", grown.store.path, *out, "--store", grown.store.path)
        heml(command, *of_node, *given).refused("no trained tree at")


@pytest.mark.server
def test_a_store_of_another_version_is_refused(
    heml: Heml, tmp_path: Path, make_store, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    with monkeypatch.context() as patch:
        for module in ("shard_writer", "shard_header"):
            patch.setattr(f"tasks.segments.{module}.STORE_VERSION", 99)
        make_store(tmp_path / "store", train=20, validation=8)
    for command in (("train",), ("export", "--node", "body", "--out", tmp_path / "out")):
        run = heml(*command, "--store", tmp_path / "store")
        run.refused("99", "version", "heml prepare")


@pytest.mark.parametrize("engine", ["threads", "local"])
def test_no_prefect_server_is_said(
    heml: Heml, engine: str, tmp_path: Path, store: SegmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    heml("train", "--store", store.path, engine=engine).refused("Prefect server", "heml up")


def test_a_server_that_dies_is_no_wrong_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def die() -> None:
        raise ServerError("the Prefect server ended with code 3 while starting")

    monkeypatch.setattr(cli, "app", die)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "heml: the Prefect server ended with code 3 while starting\n"
