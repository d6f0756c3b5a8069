import ast
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.metric import identity
from tasks.metric.identity import AVSL_CODE, CODE, ROOMS, avsl_identity, code_version, node_identity, node_key
from tasks.metric.options import TrainingOptions
from tasks.metric.plan import averaging_weights

OPTIONS = TrainingOptions()
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
    assert json.loads(json.dumps(values))["code"] == code_version()
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
    return code_version()


def test_comments_docstrings_and_layout_do_not_change_the_version(rooms: Path) -> None:
    before, path = code_version(), rooms / "metric" / "losses.py"
    text = path.read_text(encoding="utf-8")
    assert version_with(path, "# a comment\n\n" + text + "\n# one more\n") == before
    assert version_with(path, text.replace('"""The loss of that name.', '"""A loss, by its name.')) == before
    assert version_with(path, '"""Another docstring."""\n' + text[text.index("\nfrom") :]) == before
    assert version_with(path, ast.unparse(ast.parse(text))) == before


def test_code_changes_the_version_in_every_file(rooms: Path) -> None:
    versions = {code_version()}
    for name in CODE:
        text = (rooms / name).read_text(encoding="utf-8")
        versions.add(version_with(rooms / name, text + "\nNEW = 1\n"))
    assert len(versions) == 1 + len(CODE)


def test_a_number_and_a_text_in_the_code_change_the_version(rooms: Path) -> None:
    path = rooms / "metric" / "losses.py"
    text = path.read_text(encoding="utf-8")
    assert "TRIPLET_MARGIN = 0.1" in text
    versions = {
        code_version(),
        version_with(path, text.replace("TRIPLET_MARGIN = 0.1", "TRIPLET_MARGIN = 0.2")),
        version_with(path, text.replace('"squared_euclidean"', '"cosine"')),
    }
    assert len(versions) == 3


# Modules that training imports and that a node's weights do not depend on, and why.
NOT_THE_METHOD = {
    "errors.py": "messages",
    "temporary_path.py": "files",
    "metric/checkpoint.py": "files",
    "metric/epoch_reports.py": "a record",
    "metric/node_job.py": "a record",
    "metric/out_of_memory.py": "an error's name",
    "metric/peak_memory.py": "a measurement",
    "metric/node_result.py": "a record",
    "metric/options.py": "its values are in the key",
    "metric/training_state.py": "a resumed training ends with the same weights",
    "segments/source.py": "types",
    "segments/store.py": "its digest is in the key",
    "segments/tree.py": "the classes are in the key",
}


def imported(name: str) -> set[str]:
    """The project's modules that a file imports, as paths under tasks/."""
    found = set()
    for node in ast.walk(ast.parse((ROOMS / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tasks."):
            path = node.module.removeprefix("tasks.").replace(".", "/")
            if (ROOMS / path).is_dir():
                found |= {f"{path}/{alias.name}.py" for alias in node.names}
            else:
                found.add(f"{path}.py")
    return found


def made_of(*names: str) -> set[str]:
    """The files, and all that they import, without what is not the method."""
    seen: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        if name not in NOT_THE_METHOD:
            waiting |= imported(name) - seen
    return seen - set(NOT_THE_METHOD)


def test_all_that_training_is_made_of_counts() -> None:
    weighing = averaging_weights.__module__.removeprefix("tasks.").replace(".", "/") + ".py"
    parts = made_of("metric/training.py", "metric/training_data.py", "metric/averaging.py")
    assert parts | {weighing} <= set(CODE)


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
    assert made_of("metric/avsl_training.py") <= {*CODE, *AVSL_CODE}
