"""A study of the paper as a Prefect flow: rows trained once, recorded, and set beside the paper's figures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from prefect.task_runners import ThreadPoolTaskRunner

from flows.cli_options import check_count
from flows.parameters import ReproduceParameters
from flows.reproduce import _notes, reproduce
from flows.study_data import DATASETS, hub_data
from flows.trees import resolve_tree
from infra.settings import load_settings
from tasks.errors import InputError
from tasks.metric.options import TrainingOptions
from tasks.segments.store import SegmentStore
from tasks.study.paper import study_names
from tasks.study.row_result import read_rows
from tasks.study.step_cost import PUBLISHED, Method, StepCost

TREE = "tree: [[body, badge], spot]\n"


@pytest.mark.server
def test_rows_are_trained_once_and_set_beside_the_paper(
    prefect_server: str, store: SegmentStore, options: TrainingOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("HOME", str(tmp_path / "home")), ("ENGINE", "threads"), ("DEVICE", "cpu")):
        monkeypatch.setenv(f"HEML_{name}", value)
    (tmp_path / "tree.yaml").write_text(TREE)
    out = tmp_path / "study"

    def run(*rows: str, **changed: object) -> list[str]:
        parameters = ReproduceParameters.model_validate(
            {
                "study": "celeba",
                "store": store.path,
                "tree": str(tmp_path / "tree.yaml"),
                "rows": rows,
                "options": options,
                "costs": False,
                "out": out,
                **changed,
            }
        )
        runner = ThreadPoolTaskRunner(max_workers=2)
        tables: list[str] = reproduce.with_options(task_runner=runner)(parameters)
        return tables

    tables = run("triplet-traditional", "avsl", "triplet-heml")
    assert {(found.row, found.seed) for found in read_rows(out)} == {
        ("triplet-traditional", 0),
        ("avsl", 0),
        ("triplet-heml", 0),
    }
    assert "88.1 89.0 88.6" in tables[0] and "drawings, 40 training and 16 validation photos" in tables[0]
    assert [table["name"] for table in json.loads((out / "tables.json").read_text())] == [
        "table-1",
        "table-2",
        "table-3",
        "parents",
        "groups",
    ]
    assert (out / "tables.md").read_text().startswith("## Table I, CelebA")

    measured: list[Method] = []

    def cost(method: Method, own: TrainingOptions, _steps: int) -> StepCost:
        measured.append(method)
        return StepCost(
            method=method,
            trunk=own.trunk,
            size=own.size,
            batch=own.batch,
            device=own.device,
            seconds=12.5,
            peak_memory=5 << 30,
        )

    monkeypatch.setattr("tasks.reproduce.step_cost", cost)
    tables = run("triplet-traditional", "avsl", costs=True)
    assert tables[1].count("12.50 s") == 2 * len(PUBLISHED)
    assert run("triplet-traditional", "avsl", costs=True)[1] == tables[1]
    assert measured == [*PUBLISHED] * 2  # at each setting, and only once
    assert run("triplet-traditional", "avsl")[1] == tables[1]  # kept costs are shown though none are asked for

    before = {path: path.stat().st_mtime_ns for path in (out / "rows").iterdir()}
    again = run("triplet-traditional", "avsl", "fill-black")
    assert {path: path.stat().st_mtime_ns for path in before} == before  # what is done is not done again
    assert any("What a leaf's figure is about" in table for table in again)
    assert {found.row for found in read_rows(out)} == {"triplet-traditional", "avsl", "triplet-heml", "fill-black"}

    # Other options are another study: its rows are trained anew.
    of_another = TrainingOptions(**{**vars(options), "epochs": 1, "batch": options.batch + 1})
    [table, *others] = run("triplet-traditional", options=of_another)
    assert "triplet-traditional" in table and "| avsl |" not in table  # rows of other options are no part of it
    assert "".join([table, *others]).count("12.50 s") == len(PUBLISHED)  # nor costs, but for the published settings'
    assert next(path for path in before if path.name == "triplet-traditional-seed0.json").stat().st_mtime_ns > max(
        before.values()
    )


def test_weights_are_named_without_their_folder(store: SegmentStore, options: TrainingOptions, tmp_path: Path) -> None:
    parameters = ReproduceParameters(study="celeba", store=store.path, options=options)
    given = replace(options, weights=str(tmp_path / "trunk.pth"))
    settings = load_settings(home=tmp_path, device="cpu")
    notes = " ".join(_notes(parameters, "faces", store, resolve_tree("auto", store), given, settings))
    assert "(weights trunk.pth)" in notes and str(tmp_path) not in notes


def test_the_hub_s_data_sets_are_prepared_with_the_label_from_the_segment(tmp_path: Path) -> None:
    assert set(DATASETS) == set(study_names()) - {"celeba"}
    for study, segment in (("human-parsing", "Dress"), ("sceneparse150", "building")):
        preparing = hub_data(study, tmp_path / "store")
        assert preparing.out == tmp_path / "store"
        source = preparing.photos.source()
        assert segment in source.classes().values()
        assert preparing.model_dump()["photos"]["label_segment"] == segment


def test_a_study_without_public_data_says_how_to_give_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the data of celeba are not on the hub: prepare them with"):
        hub_data("celeba", tmp_path)


@pytest.mark.server
def test_a_trunk_that_avsl_cannot_use_is_refused_before_anything_is_trained(
    prefect_server: str, store: SegmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("HOME", str(tmp_path / "home")), ("ENGINE", "threads"), ("DEVICE", "cpu")):
        monkeypatch.setenv(f"HEML_{name}", value)
    options = TrainingOptions(trunk="alexnet", size=64)
    parameters = ReproduceParameters(study="celeba", store=store.path, out=tmp_path / "study", options=options)
    with pytest.raises(InputError, match="alexnet"):
        reproduce.with_options(task_runner=ThreadPoolTaskRunner(max_workers=1))(parameters)
    assert not (tmp_path / "home" / "nodes").exists()


def test_no_seed_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--seeds needs at least 1; got 0"):
        check_count("--seeds", 0, 1)
