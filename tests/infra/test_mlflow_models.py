"""Registering a trained tree, the champion, and fetching it again."""

import time
from pathlib import Path
from threading import Thread

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import RunInfo

from infra import mlflow_models
from infra.mlflow_tracking import MlflowTracker
from infra.settings import Settings, load_settings
from infra.tracking import fetch_model
from tasks.errors import InputError

# MLflow 3.17 on SQLAlchemy 2.1, when it first opens a database.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")

CODE = """
from pathlib import Path

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class Pair(PythonModel):
    def load_context(self, context):
        self.tree = context.artifacts["tree"]

    def predict(self, context, model_input: pd.DataFrame, params=None):
        return [Path(self.tree, "tree.json").read_text()] * len(model_input)

set_model(Pair())
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(home=tmp_path_factory.mktemp("home"), device="cpu")


@pytest.fixture(scope="module")
def tracker(settings: Settings) -> MlflowTracker:
    tracker = MlflowTracker(settings.tracking_uri)
    tracker.prepare("portraits")
    return tracker


@pytest.fixture(scope="module")
def client(settings: Settings) -> MlflowClient:
    return MlflowClient(tracking_uri=settings.tracking_uri, registry_uri=settings.tracking_uri)


def tree_folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "tree.json").write_text(content)
    return path


def register(
    tracker: MlflowTracker, tmp_path: Path, name: str, score: float | None, content: str = "{}"
) -> tuple[str, str]:
    """The model's address and the run's id."""
    code = tmp_path / "pair_model.py"
    code.write_text(CODE)
    tree = tree_folder(tmp_path / f"tree-{time.monotonic_ns()}", content)
    run = tracker.start_run("portraits", "flow")
    return tracker.register_model(run, name, code, {"tree": str(tree)}, score), run


def test_a_model_of_one_digest_is_registered_once(tracker: MlflowTracker, client: MlflowClient, tmp_path: Path) -> None:
    code, tree = tmp_path / "pair_model.py", tree_folder(tmp_path / "tree", "{}")
    code.write_text(CODE)
    addresses = []
    for digest in ("one", "one", "other", None, None, "one"):
        run = tracker.start_run("portraits", "tree")
        addresses.append(tracker.register_model(run, "digested", code, {"tree": str(tree)}, 0.5, digest=digest))
    assert addresses == [f"models:/digested/{number}" for number in (1, 1, 2, 3, 4, 1)]
    assert len(client.search_model_versions("name='digested'")) == 4


def test_champion_is_the_best_so_far(tracker: MlflowTracker, client: MlflowClient, tmp_path: Path) -> None:
    holders = []
    for score in (0.5, 0.4, 0.5, None, float("nan"), 0.6):
        register(tracker, tmp_path, "best", score)
        holders.append(str(client.get_model_version_by_alias("best", "champion").version))
    assert holders == ["1", "1", "1", "1", "1", "6"]
    assert client.get_model_version("best", "6").tags == {"score": "0.6"}


def test_first_version_is_champion_even_without_a_score(
    tracker: MlflowTracker, client: MlflowClient, tmp_path: Path
) -> None:
    for score, holder in ((None, "1"), (0.1, "2")):
        register(tracker, tmp_path, "unscored", score)
        assert str(client.get_model_version_by_alias("unscored", "champion").version) == holder


def test_registered_model_predicts(tracker: MlflowTracker, settings: Settings, tmp_path: Path) -> None:
    address, run = register(tracker, tmp_path, "whole", 0.9, '{"a": 1}')
    assert address == "models:/whole/1"
    model = fetch_model("models:/whole@champion", settings).parents[1]
    loaded = mlflow.pyfunc.load_model(str(model))
    assert loaded.predict(pd.DataFrame({"photo_a": ["x", "y"]})) == ['{"a": 1}'] * 2
    assert loaded.metadata.run_id == run
    assert f"mlflow=={mlflow.__version__}" in (model / "requirements.txt").read_text().split()


def test_model_is_fetched_by_alias_number_or_name(tracker: MlflowTracker, settings: Settings, tmp_path: Path) -> None:
    register(tracker, tmp_path, "fetched", 0.9, "first")
    register(tracker, tmp_path, "fetched", 0.8, "second")
    for address, content in (
        ("models:/fetched@champion", "first"),
        ("models:/fetched/1", "first"),
        ("models:/fetched/2", "second"),
        ("models:/fetched", "second"),
        ("models:/fetched/latest", "second"),
    ):
        assert (fetch_model(address, settings) / "tree.json").read_text() == content


def test_model_is_fetched_from_a_run(tracker: MlflowTracker, settings: Settings, tmp_path: Path) -> None:
    run = tracker.start_run("portraits", "flow")
    tracker._client.log_artifacts(run, str(tree_folder(tmp_path / "tree", "of a run")), "kept")
    assert (fetch_model(f"runs:/{run}/kept", settings) / "tree.json").read_text() == "of a run"


def test_what_lies_with_a_server_is_copied_once_to_where_workers_look(
    tracker: MlflowTracker, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As compose's MLflow keeps it: behind the server, at no place of this machine's file system."""
    register(tracker, tmp_path, "far", 0.9)
    run = tracker.start_run("portraits", "far")
    served = f"mlflow-artifacts:/1/{run}/artifacts"
    monkeypatch.setattr(mlflow_models, "_source", lambda *_: f"{served}/model")
    monkeypatch.setattr(RunInfo, "artifact_uri", served)
    copied: list[str] = []

    def download(artifact_uri: str, tracking_uri: str, dst_path: str) -> str:
        copied.append(artifact_uri)
        return str(tree_folder(Path(dst_path) / "got", f"copy {len(copied)}"))

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", download)
    for _ in range(2):
        folder = fetch_model("models:/far@champion", settings)
        assert folder.parent == settings.models
        assert (folder / "tree.json").read_text() == "copy 1"
    # Of a run that goes on, more may have come since; of one that has ended, nothing more comes.
    for ended, content in ((False, "copy 2"), (False, "copy 3"), (True, "copy 3")):
        if ended:
            tracker.end_run(run, "FINISHED")
        assert (fetch_model(f"runs:/{run}/kept", settings) / "tree.json").read_text() == content
    assert copied == [f"{served}/model", *[f"{served}/kept"] * 2]
    assert len(list(settings.models.iterdir())) == 2
    with pytest.raises(InputError, match=r"names no folder of a run: write runs:/RUN/PATH"):
        fetch_model(f"runs:/{run}", settings)


def test_local_folder_is_taken_as_it_is(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tree_folder(tmp_path / "tree", "{}")
    assert fetch_model(str(tree), settings) == tree
    (tmp_path / "run").mkdir()
    of_training = tree_folder(tmp_path / "run" / "model", "{}")
    assert fetch_model(str(tmp_path / "run"), settings) == of_training
    monkeypatch.chdir(tmp_path)
    assert fetch_model("tree", settings) == tree
    for content in ("", "flavors: {python_function: {}}", "}{"):
        (tree / "MLmodel").write_text(content)
        with pytest.raises(InputError, match="has no tree: it was not registered by `heml train`"):
            fetch_model("tree", settings)


def test_what_is_not_there_is_wrong_input(settings: Settings, tracker: MlflowTracker, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no trained tree at .*nowhere: give the folder"):
        fetch_model(str(tmp_path / "nowhere"), settings)
    (tmp_path / "photos" / "model").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no trained tree at .*photos: give the folder"):
        fetch_model(str(tmp_path / "photos"), settings)
    for address in ("models:/nobody@champion", "models:/nobody/1", "models:/nobody", "runs:/0123456789abcdef/model"):
        with pytest.raises(InputError, match=rf"no model {address} at sqlite:///.*`heml train` registers one"):
            fetch_model(address, settings)
    with pytest.raises(InputError, match="names no model: write models:/NAME@champion"):
        fetch_model("models:/a/b/c", settings)


def test_asking_an_empty_home_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing is tracked at .* yet; train a tree with `heml train`"):
        fetch_model("models:/a@champion", load_settings(home=tmp_path / "empty"))
    assert not (tmp_path / "empty").exists()


def test_registering_works_from_another_thread_and_is_quick_and_quiet(
    tracker: MlflowTracker, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pair_model.py").write_text(CODE)
    tree = tree_folder(tmp_path / "tree", "{}")
    (tree / "weights.safetensors").write_bytes(bytes(40_000_000))
    run = tracker.start_run("portraits", "flow")
    made = []

    def register() -> None:
        began = time.monotonic()
        address = tracker.register_model(run, "threaded", tmp_path / "pair_model.py", {"tree": str(tree)}, 1.0)
        made.append((address, time.monotonic() - began))

    thread = Thread(target=register)
    thread.start()
    thread.join()
    [(address, seconds)] = made
    assert address == "models:/threaded/1"
    assert (fetch_model(address, settings) / "weights.safetensors").stat().st_size == 40_000_000
    # A second or so; inferring requirements in another process would take tens of them.
    assert seconds < 15
    assert mlflow.active_run() is None
    assert capfd.readouterr() == ("", "")


def test_nothing_is_left_in_the_working_directory() -> None:
    assert not Path("mlflow.db").exists()
    assert not Path("mlruns").exists()
