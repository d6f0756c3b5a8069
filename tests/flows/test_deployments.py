"""prefect.yaml: what it names is there, what it gives is taken, and the forms say what is asked for."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate
from pydantic import BaseModel

HOUSE = Path(__file__).parent.parent.parent
FILE: dict[str, Any] = yaml.safe_load((HOUSE / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS: dict[str, dict[str, Any]] = {each["name"]: each for each in FILE["deployments"]}
each_deployment = pytest.mark.parametrize("name", DEPLOYMENTS)


def flow_of(name: str) -> Flow[Any, Any]:
    module, _, function = DEPLOYMENTS[name]["entrypoint"].rpartition(".")
    found = getattr(import_module(module), function)
    assert isinstance(found, Flow)
    # Dask's scheduler and workers import a flow by this name, in which they know no folder of flows.
    assert found.fn.__module__ == module
    return found


def schema_of(name: str) -> dict[str, Any]:
    """As `prefect deploy` sends it to the server."""
    return parameter_schema(flow_of(name)).model_dump_for_openapi()


def forms_in(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of every form, with its place."""
    for title, definition in schema["definitions"].items():
        for name, field in definition["properties"].items():
            yield f"{title}.{name}", field


def test_every_verb_of_the_pipeline_is_deployed_once() -> None:
    assert sorted(DEPLOYMENTS) == ["audit", "deflate", "explain", "prepare", "reproduce", "train"]
    assert len(FILE["deployments"]) == len(DEPLOYMENTS)


def test_workers_are_told_where_the_project_is() -> None:
    assert FILE["pull"] == [{"infra.checkout.enter_checkout": {"directory": "{{ $HEML_CHECKOUT }}"}}]
    assert not any({"pull", "build", "push"} & set(each) for each in FILE["deployments"])


@each_deployment
def test_entrypoint_is_a_flow_of_one_model(name: str) -> None:
    flow = flow_of(name)
    annotations = {field: kind for field, kind in flow.fn.__annotations__.items() if field != "return"}
    assert list(annotations) == ["parameters"]
    assert issubclass(annotations["parameters"], BaseModel)


@each_deployment
def test_parameters_are_taken_by_the_server_and_by_the_flow(name: str) -> None:
    given = DEPLOYMENTS[name]["parameters"]
    assert list(given) == ["parameters"]
    validate(given, schema_of(name), raise_on_error=True)
    flow_of(name).validate_parameters(given)


@each_deployment
def test_every_field_of_the_form_says_what_it_is(name: str) -> None:
    fields = dict(forms_in(schema_of(name)))
    assert len(fields) >= 5
    assert [where for where, field in fields.items() if not field.get("description") and "$ref" not in field] == []
    assert [where for where, field in fields.items() if not {"type", "anyOf", "$ref", "enum"} & set(field)] == []
    assert [where for where, field in fields.items() if "position" not in field] == []
    # What the form shows above nested fields is one line, not a docstring.
    described = [text for text in (each.get("description", "") for each in fields.values()) if "\n" in text]
    assert described == []


def test_the_machine_s_settings_stand_in_no_form() -> None:
    for name in ("train", "reproduce"):
        schema = schema_of(name)
        options = schema["definitions"]["TrainingOptions"]["properties"]
        assert {"trunk", "loss", "epochs"} <= set(options) and not {"device", "threads"} & set(options)
        assert options["loss"]["enum"][0] == "triplet"


def test_wrong_parameters_are_refused_with_their_place() -> None:
    def wrong(name: str, parameters: dict[str, Any]) -> list[str]:
        return [
            f"{error.json_path}: {error.message}" for error in validate({"parameters": parameters}, schema_of(name))
        ]

    assert wrong("train", {"store": "s"}) == []
    assert wrong("train", {}) == ["$.parameters: 'store' is a required property"]
    assert wrong("train", {"store": "s", "options": {"epochs": "many"}}) == [
        "$.parameters.options.epochs: 'many' is not of type 'integer'"
    ]
    assert "'softmax' is not one of ['triplet'" in wrong("train", {"store": "s", "options": {"loss": "softmax"}})[0]
    assert "('epochz' was unexpected)" in wrong("train", {"store": "s", "options": {"epochz": 4}})[0]
    assert len(wrong("prepare", {"out": "o", "photos": {"kind": "film"}})) == 1


@each_deployment
def test_what_needs_a_gpu_is_tagged_so_and_has_its_queue(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    cuda = name in {"train", "audit", "deflate", "reproduce"}
    assert deployment["work_pool"] == {"name": "heml", "work_queue_name": "cuda" if cuda else "default"}
    assert deployment["tags"] == (["heml", "cuda"] if cuda else ["heml"])


def test_only_training_has_a_schedule_and_it_is_off() -> None:
    schedules = {name: each["schedules"] for name, each in DEPLOYMENTS.items() if "schedules" in each}
    assert schedules == {"train": [{"slug": "nightly", "cron": "0 2 * * *", "timezone": "UTC", "active": False}]}


@each_deployment
def test_a_second_run_on_the_same_data_waits(name: str) -> None:
    limit = DEPLOYMENTS[name].get("concurrency_limit")
    assert limit == (None if name == "explain" else {"limit": 1, "collision_strategy": "ENQUEUE"})


@each_deployment
def test_no_key_is_one_that_prefect_would_pass_over(name: str) -> None:
    known = {"name", "description", "entrypoint", "tags", "work_pool", "concurrency_limit", "schedules", "parameters"}
    assert set(DEPLOYMENTS[name]) <= known
    assert DEPLOYMENTS[name]["description"]


@pytest.mark.server
def test_the_server_makes_runs_of_an_active_schedule(prefect_server: str) -> None:
    """The scheduler of Prefect 3.8 fails with SQLAlchemy 2.1, in the server's log alone."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    every_week = IntervalSchedule(interval=timedelta(days=7), anchor_date=tomorrow)
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(
            client.create_flow_from_name("nothing"),
            "nothing",
            schedules=[DeploymentScheduleCreate(schedule=every_week)],
        )
        wanted = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        deadline = time.monotonic() + 60
        while not (runs := client.read_flow_runs(deployment_filter=wanted)) and time.monotonic() < deadline:
            time.sleep(0.5)
        client.delete_deployment(deployment)
    times = sorted(run.expected_start_time for run in runs if run.expected_start_time)
    assert times[:3] == [tomorrow + timedelta(days=7 * week) for week in range(3)]
