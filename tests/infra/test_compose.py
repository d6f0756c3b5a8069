"""compose.yaml, read as Docker would: nothing published beyond this machine, no secret in it, and all that it names is
there."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

INFRA = Path(__file__).parents[2] / "infra"
FILE: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
each_service = pytest.mark.parametrize("name", SERVICES)
VARIABLE = re.compile(r"\$\{(\w+)(:[-?])?([^}]*)\}")


def strings(value: Any) -> Iterator[str]:
    """Every text in a value, however deep."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def test_all_parts_of_a_cluster_are_there() -> None:
    assert set(SERVICES) == {
        *("postgres", "prefect", "mlflow", "scheduler"),
        *("cpu-worker", "cuda-worker", "deployments", "runner"),
    }
    known = {"name", "services", "volumes"}
    assert {key for key in FILE if not key.startswith("x-")} == known


@each_service
def test_ports_are_of_this_machine_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    assert "network_mode" not in SERVICES[name]


def test_people_reach_prefect_and_mlflow_and_nothing_else() -> None:
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["prefect", "mlflow"]


@each_service
def test_images_are_of_one_version(name: str) -> None:
    assert re.fullmatch(r"(heml|postgres):\d+\.\d+[\w.-]*", SERVICES[name]["image"])


@each_service
def test_what_it_waits_for_is_there_and_can_be_waited_for(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert SERVICES[other]["healthcheck"]["test"]
        else:
            assert how["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "on-failure"
        assert "profiles" not in SERVICES[other]


@each_service
def test_it_is_started_again_and_looked_after(name: str) -> None:
    service = SERVICES[name]
    if name == "deployments":  # it ends
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"


def test_no_secret_is_in_the_file_and_the_password_has_no_default() -> None:
    passwords = [
        str(value)
        for service in SERVICES.values()
        for key, value in service.get("environment", {}).items()
        if "PASSWORD" in key
    ]
    assert len(passwords) == 3
    for value in passwords:
        variable = VARIABLE.fullmatch(value)
        assert variable
        assert (variable[1], variable[2]) == ("POSTGRES_PASSWORD", ":?")
    # Nor on a command line, which everybody on the machine can read, or in an address.
    others = [text for service in SERVICES.values() for text in strings({**service, "environment": {}})]
    assert not [text for text in others if "PASSWORD" in text]
    assert not [text for text in strings(FILE) if re.search(r"://\w+:[^/]*@", text)]


def test_only_the_password_has_to_be_given() -> None:
    needed = {match[0] for text in strings(FILE) for match in VARIABLE.findall(text) if match[1] != ":-"}
    assert needed == {"POSTGRES_PASSWORD"}


@each_service
def test_its_command_is_there(name: str, check_command: Callable[[Sequence[str]], None]) -> None:
    if name == "postgres":  # its image's own
        assert "command" not in SERVICES[name]
        return
    check_command(SERVICES[name]["command"])


@each_service
def test_addresses_are_of_services_that_listen_there(name: str) -> None:
    listening = {"prefect": 4200, "mlflow": 5000, "scheduler": 8786}
    given = {**SERVICES[name], "healthcheck": {}}
    for text in strings(given):
        place = urlsplit(text)
        if place.scheme in ("http", "tcp") and place.hostname != "127.0.0.1":
            assert place.port == listening[str(place.hostname)]
    for service, port in listening.items():
        assert re.search(rf"\b{port}\b", " ".join(SERVICES[service]["command"]))


def test_servers_answer_to_the_names_by_which_they_are_called() -> None:
    assert SERVICES["prefect"]["environment"]["HEML_SERVER_HOSTS"].split(",")[0] == "prefect"
    (allowed,) = [word for word in SERVICES["mlflow"]["command"] if word.startswith("--allowed-hosts=")]
    assert {"mlflow:5000", "127.0.0.1:5000"} <= set(allowed.partition("=")[2].split(","))


def test_each_kind_of_worker_offers_its_own_resource() -> None:
    for name, offered in (("cpu-worker", "CPU=1"), ("cuda-worker", "CUDA=1")):
        assert f"--resources={offered}" in SERVICES[name]["command"]
        assert "--memory-limit=0" in SERVICES[name]["command"]
    cuda = SERVICES["cuda-worker"]
    assert cuda["profiles"] == ["gpu"]
    (device,) = cuda["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"], len(device["device_ids"])) == ("nvidia", ["gpu"], 1)
    others = {name: service for name, service in SERVICES.items() if name != "cuda-worker"}
    assert not [text for text in strings(others) if "nvidia" in text]


def test_all_who_work_on_a_run_share_its_home() -> None:
    shared = {name for name, service in SERVICES.items() if "home:/opt/heml/.heml" in service.get("volumes", [])}
    assert shared == {"cpu-worker", "cuda-worker", "runner"}
    mounted = {mount.partition(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert {mount for mount in mounted if not mount.startswith(".")} == set(FILE["volumes"])
    for mount in mounted - set(FILE["volumes"]):
        assert (INFRA / mount).is_file()


@each_service
def test_our_containers_are_built_here_and_may_not_gain_rights(name: str) -> None:
    service = SERVICES[name]
    if name == "postgres":
        return
    assert (INFRA / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert service["build"]["target"] == ("cuda" if name == "cuda-worker" else "cpu")
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service
