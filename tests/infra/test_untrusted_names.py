"""Names and files from strangers: where artifacts are kept, and which folder a model is."""

from pathlib import Path

import pytest

from infra.mlflow_tracking import MlflowTracker
from infra.settings import Settings, load_settings
from infra.tracking import fetch_model
from tasks.errors import InputError


@pytest.mark.parametrize("name", ["..", "../../x", "/etc/x", "x" * 300, ".hidden", "plain-name"])
def test_artifacts_of_a_data_set_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    tracker = MlflowTracker(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    (tmp_path / "home").mkdir()
    tracker.prepare(name)
    run = tracker.start_run(name, "a run")
    (tmp_path / "note.txt").write_text("kept")
    tracker.log_artifact(run, tmp_path / "note.txt")
    (kept,) = tmp_path.rglob("artifacts/note.txt")
    # home/mlflow-artifacts/DATA SET/RUN/artifacts/note.txt, and nothing of it anywhere else
    root = tmp_path / "home" / "mlflow-artifacts"
    assert kept.is_relative_to(root) and len(kept.relative_to(root).parts) == 4
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


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES),
        "[" * 5000,
        "flavors: 2001-99-99",
        "flavors: [1]",
        "flavors: !!python/object/apply:os.getcwd []",
    ],
    ids=["a bomb", "nested", "no date", "a list", "an object"],
)
@pytest.mark.timeout(20)
def test_a_description_that_is_none_is_refused(text: str, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no tree: it was not registered by `heml train`"):
        fetch_model(str(described(tmp_path / "model", text)), settings)
