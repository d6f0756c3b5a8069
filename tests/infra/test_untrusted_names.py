"""Names and files from strangers: where artifacts are kept, and which folder a model is."""

from pathlib import Path

import pytest

from infra.mlflow_tracking import MlflowTracker
from infra.settings import Settings, load_settings
from infra.tracking import fetch_model
from tasks.errors import InputError

NAMES = ("..", "/etc/x", "x" * 300)


def test_artifacts_of_a_data_set_stay_in_their_folder(tmp_path: Path) -> None:
    tracker = MlflowTracker(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    (tmp_path / "home").mkdir()
    (tmp_path / "note.txt").write_text("kept")
    for name in NAMES:
        tracker.prepare(name)
        tracker.log_artifact(tracker.start_run(name, "a run"), tmp_path / "note.txt")
    kept = list(tmp_path.rglob("artifacts/note.txt"))
    # home/mlflow-artifacts/DATA SET/RUN/artifacts/note.txt, and nothing of it anywhere else
    root = tmp_path / "home" / "mlflow-artifacts"
    assert [len(path.relative_to(root).parts) for path in kept] == [4] * len(NAMES)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "note.txt"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home")


def described(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "MLmodel").write_text(text, encoding="utf-8")
    return folder


def test_a_model_s_folder_is_inside_of_it(settings: Settings, tmp_path: Path) -> None:
    text = "flavors: {{python_function: {{artifacts: {{tree: {{path: {}}}}}}}}}"
    model = described(tmp_path / "model", text.format("artifacts/model"))
    assert fetch_model(str(model), settings) == model / "artifacts" / "model"
    (model / "link").symlink_to(tmp_path)
    for path in ("../other", "/etc", "artifacts/../../x", "link"):
        (model / "MLmodel").write_text(text.format(path), encoding="utf-8")
        with pytest.raises(InputError, match=r"says that its tree is elsewhere, at .*: register it anew"):
            fetch_model(str(model), settings)


LINES = ["a: &a {x: y}"] + [
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
]


TEXTS = {
    "a bomb": "\n".join(LINES),
    "nested": "[" * 1000,
    "no date": "flavors: 2001-99-99",
    "a list": "flavors: [1]",
    "an object": "flavors: !!python/object/apply:os.getcwd []",
    "NUL": 'flavors: {python_function: {artifacts: {tree: {path: "a\\0b"}}}}',
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.timeout(20)
def test_a_description_that_is_none_is_refused(name: str, settings: Settings, tmp_path: Path) -> None:
    model = described(tmp_path / "model", TEXTS[name])
    with pytest.raises(InputError, match="has no tree: it was not registered by `heml train`"):
        fetch_model(str(model), settings)
