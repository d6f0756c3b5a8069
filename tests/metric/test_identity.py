import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.metric import identity
from tasks.metric.identity import (
    AVSL_TRAINING,
    NOT_THE_METHOD,
    ROOMS,
    TRAINING,
    avsl_identity,
    code_version,
    made_of,
    node_identity,
    node_key,
)
from tasks.metric.options import TrainingOptions

OPTIONS = TrainingOptions()
CODE = made_of(TRAINING)
AVSL_CODE = tuple(name for name in made_of(AVSL_TRAINING) if name not in CODE)
# Another value for every option.
OTHER = {
    "trunk": "small",
    "weights": "DEFAULT",
    "embedding": 32,
    "loss": "snr",
    "size": 64,
    "fill": "mean",
    "absent": "blank",
    "framing": "crop",
    "averaging": "area",
    "augmentation": "full",
    "epochs": 3,
    "patience": 2,
    "batch": 32,
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "seed": 1,
    "threads": 2,
    "device": "cuda",
}


def leaf_key(**changed: object) -> str:
    class_ids, digest = changed.pop("class_ids", (3,)), changed.pop("digest", "d")
    return node_key(node_identity(class_ids, digest, replace(OPTIONS, **changed), []))  # type: ignore[arg-type]


def parent_key(children: list[str | None], **changed: object) -> str:
    return node_key(node_identity((3, 4), "d", replace(OPTIONS, **changed), children))  # type: ignore[arg-type]


def test_a_key_is_32_hexadecimal_digits_and_stays() -> None:
    assert leaf_key() == leaf_key()
    assert len(leaf_key()) == 32
    int(leaf_key(), 16)
    assert leaf_key() != parent_key(["x", "y"])


def test_every_option_changes_a_parent_s_key() -> None:
    # How many epochs combined nodes have is among their own options' `epochs` (`node_subject`).
    assert {*OTHER, "combined_epochs"} == {field.name for field in fields(TrainingOptions)}
    keys = {parent_key(["x", "y"])} | {parent_key(["x", "y"], **{name: value}) for name, value in OTHER.items()}
    assert len(keys) == 1 + len(OTHER)
    assert parent_key(["x", "y"], combined_epochs=1) == parent_key(["x", "y"])


@pytest.mark.parametrize("name", OTHER)
def test_every_option_but_averaging_changes_a_leaf_s_key(name: str) -> None:
    assert (leaf_key(**{name: OTHER[name]}) == leaf_key()) == (name == "averaging")


def test_classes_data_and_children_change_the_key() -> None:
    assert len({leaf_key(), leaf_key(class_ids=(4,)), leaf_key(class_ids=None), leaf_key(digest="e")}) == 4
    children = [["x", "y"], ["y", "x"], ["x", None], [None, "x"], [None, None], ["x", "z"]]
    assert len({parent_key(list(pair)) for pair in children}) == len(children)


def test_a_weights_file_counts_by_its_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.pth", tmp_path / "b.pth"
    first.write_bytes(b"one")
    second.write_bytes(b"one")
    assert leaf_key(weights=str(first)) == leaf_key(weights=str(second)) != leaf_key()
    second.write_bytes(b"two")
    assert leaf_key(weights=str(first)) != leaf_key(weights=str(second))


def test_a_weights_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the weights .*w\.pth cannot be read: .*give none, DEFAULT or a file"):
        leaf_key(weights=str(tmp_path / "w.pth"))


def test_an_identity_is_plain_values_that_hold_the_code_s_version() -> None:
    values = node_identity((3,), "d", OPTIONS, [])
    assert json.loads(json.dumps(values))["code"] == code_version(CODE)
    training = asdict(OPTIONS)
    del training["averaging"], training["combined_epochs"]
    assert values["training"] == training


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the method's code, which a test may edit."""
    for name in (*CODE, *AVSL_CODE):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOMS / name, tmp_path / name)
    monkeypatch.setattr(identity, "ROOMS", tmp_path)
    code_version.cache_clear()
    yield tmp_path
    code_version.cache_clear()


def version_with(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    code_version.cache_clear()
    return code_version(CODE)


def test_comments_docstrings_and_layout_do_not_change_the_version(rooms: Path) -> None:
    before, path = code_version(CODE), rooms / "metric" / "losses.py"
    text = path.read_text(encoding="utf-8")
    assert version_with(path, "# a comment\n\n" + text + "\n# one more\n") == before
    assert version_with(path, text.replace('"""The loss of that name.', '"""A loss, by its name.')) == before
    assert version_with(path, '"""Another docstring."""\n' + text[text.index("\nfrom") :]) == before
    assert version_with(path, ast.unparse(ast.parse(text))) == before


def test_code_changes_the_version_in_every_file(rooms: Path) -> None:
    versions = {code_version(CODE)}
    for name in CODE:
        text = (rooms / name).read_text(encoding="utf-8")
        versions.add(version_with(rooms / name, text + "\nNEW = 1\n"))
    assert len(versions) == 1 + len(CODE)


def test_a_number_and_a_text_in_the_code_change_the_version(rooms: Path) -> None:
    path = rooms / "metric" / "losses.py"
    text = path.read_text(encoding="utf-8")
    assert "TRIPLET_MARGIN = 0.1" in text
    versions = {
        code_version(CODE),
        version_with(path, text.replace("TRIPLET_MARGIN = 0.1", "TRIPLET_MARGIN = 0.2")),
        version_with(path, text.replace('"squared_euclidean"', '"cosine"')),
    }
    assert len(versions) == 3


def test_all_that_training_is_made_of_counts_and_nothing_else() -> None:
    """As Python itself imports it in a new process; and what is imported only when it is asked for."""
    asked = "tasks.metric.training, tasks.metric.training_data, tasks.metric.plan"
    script = f"import sys, {asked}; print(*(name for name in sys.modules if name.startswith('tasks.')))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    files = {name.removeprefix("tasks.").replace(".", "/") + ".py" for name in loaded}
    later = {f"metric/{name}.py" for name in ("torchvision_trunks", "efficientnet_lite", "angular_loss")}
    assert later < set(CODE) < files | later
    known = ["losses", "angular_loss", "batches", "augment", "model", "averaging", "plan", "fitting", "precision"]
    known = [f"metric/{name}.py" for name in known]
    assert {*known, *(f"segments/{name}.py" for name in ("compose", "framing", "decoded", "pictures"))} < set(CODE)
    assert not set(CODE) & set(NOT_THE_METHOD)
    assert files > set(NOT_THE_METHOD)


def avsl_key(class_ids: tuple[int, ...] | None = None, digest: str = "d", **changed: object) -> str:
    return node_key(avsl_identity(class_ids, digest, replace(OPTIONS, **changed)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", OTHER)
def test_every_option_but_averaging_and_loss_changes_an_avsl_key(name: str) -> None:
    assert (avsl_key(**{name: OTHER[name]}) == avsl_key()) == (name in ("averaging", "loss"))


def test_an_avsl_key_is_of_its_data_and_of_no_node() -> None:
    node = node_key(node_identity(None, "d", OPTIONS, []))
    assert len({avsl_key(), avsl_key((3,)), avsl_key(digest="e"), node}) == 4


def test_a_weights_file_of_an_avsl_counts_by_its_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.pth", tmp_path / "b.pth"
    first.write_bytes(b"one")
    second.write_bytes(b"one")
    assert avsl_key(weights=str(first)) == avsl_key(weights=str(second)) != avsl_key()
    second.write_bytes(b"two")
    assert avsl_key(weights=str(first)) != avsl_key(weights=str(second))


def test_avsl_s_code_changes_its_key_and_no_node_s(rooms: Path) -> None:
    nodes, own = {leaf_key()}, {avsl_key()}
    for name in AVSL_CODE:
        text = (rooms / name).read_text(encoding="utf-8")
        version_with(rooms / name, text + "\nNEW = 1\n")
        nodes.add(leaf_key())
        own.add(avsl_key())
    assert (len(nodes), len(own)) == (1, 1 + len(AVSL_CODE))
    version_with(rooms / "metric/fitting.py", "NEW = 1\n")
    assert leaf_key() not in nodes
    assert avsl_key() not in own


def test_all_that_avsl_is_made_of_counts() -> None:
    names = ("avsl_loss", "avsl_model", "avsl_similarity", "avsl_training")
    assert tuple(f"metric/{name}.py" for name in names) == AVSL_CODE
