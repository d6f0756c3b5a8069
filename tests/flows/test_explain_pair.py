"""The flow that explains pairs: one task run a pair, and everything kept in the tracking store."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from prefect.task_runners import ThreadPoolTaskRunner

from flows.explain_pair import explain_pair
from flows.parameters import ExplainParameters
from infra.settings import load_settings
from tasks import explain as module
from tasks.errors import InputError


@pytest.fixture
def photos(tmp_path: Path, grown: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of drawings with their masks, and a home for the flow."""
    monkeypatch.setenv("HEML_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HEML_ENGINE", "threads")
    monkeypatch.setenv("HEML_DEVICE", "cpu")
    for name, row in zip("abc", grown.store.iterate("validation"), strict=False):
        (tmp_path / f"{name}.png").write_bytes(row.image)
        (tmp_path / f"{name}-mask.png").write_bytes(row.mask)
    return tmp_path


def run(grown: Any, photos: Path, **given: Any) -> dict[str, Any]:
    parameters = ExplainParameters(model=str(grown.trained.path), out=photos / "out", **given)
    return explain_pair.with_options(task_runner=ThreadPoolTaskRunner(max_workers=2))(parameters)


def tracked(grown: Any) -> list[tuple[str, list[str]]]:
    """Status and files of every run, newest first."""
    client = MlflowClient(load_settings().tracking_uri)
    experiment = client.get_experiment_by_name(grown.trained.source)
    assert experiment is not None

    def files(run_id: str, folder: str) -> list[str]:
        found = client.list_artifacts(run_id, folder)
        return [one for file in found for one in (files(run_id, file.path) if file.is_dir else [file.path])]

    runs = client.search_runs([experiment.experiment_id])
    return [(run.info.status, sorted(files(run.info.run_id, ""))) for run in runs]


@pytest.mark.server
def test_two_photos(prefect_server: str, grown: Any, photos: Path) -> None:
    masks = {"mask_a": photos / "a-mask.png", "mask_b": photos / "b-mask.png"}
    told = run(grown, photos, photo_a=photos / "a.png", photo_b=photos / "b.png", **masks)
    assert [photo["name"] for photo in told["photos"]] == ["a.png", "b.png"]
    names = ["explanation.json", "index.html", "tree.png"]
    assert sorted(path.name for path in (photos / "out").iterdir()) == names
    assert tracked(grown) == [("FINISHED", [f"explanation/{name}" for name in names])]


@pytest.mark.server
def test_a_table_of_pairs_with_a_wrong_row(
    prefect_server: str, grown: Any, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    open_tree = module.open_trained_tree
    monkeypatch.setattr(module, "open_trained_tree", lambda *given: opened.append(given) or open_tree(*given))
    table = photos / "pairs.csv"
    rows = ["photo_a,photo_b,mask_a,mask_b", "a.png,b.png,a-mask.png,b-mask.png", "c.png,a.png,c-mask.png,a-mask.png"]
    table.write_text("\n".join(rows))
    told = run(grown, photos, pairs=table)
    assert [[photo["name"] for photo in one["photos"]] for one in told["pairs"]] == [
        ["a.png", "b.png"],
        ["c.png", "a.png"],
    ]
    assert opened == [(grown.trained.path, "cpu")]  # once for all rows
    (status, files), *_ = tracked(grown)
    assert status == "FINISHED"
    names = ["explanation.json", "index.html", "tree.png"]
    assert files == [f"explanation/{folder}/{name}" for folder in ("001", "002") for name in names] + [
        "explanation/index.html"
    ]
    # The row that cannot be read is named; the other one is explained, listed and kept all the same.
    (photos / "b.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"pairs\.csv, line 2: .*b\.png"):
        run(grown, photos, pairs=table)
    (status, files), *_ = tracked(grown)
    assert status == "FAILED"
    assert files == [*(f"explanation/002/{name}" for name in names), "explanation/index.html"]
    page = (photos / "out" / "index.html").read_text(encoding="utf-8")
    assert "002/index.html" in page and "001/index.html" not in page


def test_either_two_photos_or_a_table() -> None:
    for given in (
        {},
        {"photo_a": "a.png"},
        {"photo_a": "a", "photo_b": "b", "pairs": "p"},
        {"mask_a": "a", "pairs": "p"},
    ):
        with pytest.raises(InputError, match="photo_a and photo_b"):
            ExplainParameters(model="m", out=Path("out"), **given).rows()
