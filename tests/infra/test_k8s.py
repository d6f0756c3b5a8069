"""The manifests: valid by Kubernetes' schemas and the operator's, closed to the outside, and all they name is there."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dask_kubernetes.operator.controller import controller
from jsonschema import Draft202012Validator

INFRA = Path(__file__).parents[2] / "infra"
FOLDER = INFRA / "k8s"
CRDS = Path(controller.__file__).parents[1] / "deployment" / "helm" / "dask-kubernetes-operator" / "crds"
DOCUMENTS: list[dict[str, Any]] = [
    document
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text())
]
DASK = [document for document in DOCUMENTS if document["apiVersion"] == "kubernetes.dask.org/v1"]


def named(document: dict[str, Any]) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=named)


def pods() -> dict[str, dict[str, Any]]:
    """Every pod's spec, by what makes it."""
    found = {}
    for document in DOCUMENTS:
        spec = document.get("spec", {})
        if document["kind"] == "DaskCluster":
            found["scheduler"] = spec["scheduler"]["spec"]
            found["worker"] = spec["worker"]["spec"]
        elif document["kind"] == "DaskWorkerGroup":
            found["cuda"] = spec["worker"]["spec"]
        elif "template" in spec:
            found[document["metadata"]["name"]] = spec["template"]["spec"]
    return found


each_pod = pytest.mark.parametrize("name", pods())


def containers(name: str) -> Iterator[dict[str, Any]]:
    pod = pods()[name]
    yield from (*pod["containers"], *pod.get("initContainers", []))


def names(kind: str) -> set[str]:
    return {document["metadata"]["name"] for document in DOCUMENTS if document["kind"] == kind}


def test_every_file_is_applied() -> None:
    resources = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert sorted(resources) == sorted(path.name for path in FOLDER.iterdir() if path.name != "kustomization.yaml")


@each_document
def test_kubernetes_takes_it(document: dict[str, Any]) -> None:
    if document in DASK:
        crd = yaml.safe_load((CRDS / f"{document['kind'].lower()}.yaml").read_text())
        (version,) = crd["spec"]["versions"]
        Draft202012Validator(version["schema"]["openAPIV3Schema"]).validate(document)
    else:
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_kubernetes_takes_what_the_operator_makes_of_them() -> None:
    """The operator's schemas let unknown fields pass; Kubernetes' own do not."""
    cluster, group = sorted(DASK, key=lambda document: str(document["kind"]))
    scheduler = cluster["spec"]["scheduler"]
    made = [
        controller.build_scheduler_deployment_spec("heml", scheduler["spec"], {}, {}),
        controller.build_scheduler_service_spec("heml", scheduler["service"], {}, {}),
    ]
    for worker, name in ((cluster["spec"]["worker"], "heml-default"), (group["spec"]["worker"], "heml-cuda")):
        made.append(controller.build_worker_deployment_spec(name, "heml", "heml", "0a1b", worker["spec"], {}, {}))
    for document in made:
        kubernetes_validate.validate(document, "1.37", strict=True)
    assert made[1]["metadata"]["name"] == "heml-scheduler"
    assert group["spec"]["cluster"] == cluster["metadata"]["name"]


@each_document
def test_it_is_in_our_namespace_and_open_to_nobody_outside(document: dict[str, Any]) -> None:
    assert document["kind"] not in ("Ingress", "Secret", "ClusterRole", "ClusterRoleBinding")
    if document["kind"] != "Namespace":
        assert document["metadata"]["namespace"] == "heml"
    if document["kind"] == "Service":
        assert document["spec"].get("type", "ClusterIP") == "ClusterIP"
    if document["kind"] == "DaskCluster":
        assert document["spec"]["scheduler"]["service"]["type"] == "ClusterIP"


def test_only_own_pods_and_the_operator_get_in() -> None:
    policies = {
        document["metadata"]["name"]: document["spec"] for document in DOCUMENTS if "NetworkP" in document["kind"]
    }
    own = policies["own-pods-only"]
    assert own == {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]}
    (rule,) = policies["operator-to-schedulers"]["ingress"]
    assert policies["operator-to-schedulers"]["podSelector"]["matchLabels"] == {"dask.org/component": "scheduler"}
    assert [port["port"] for port in rule["ports"]] == [8786, 8787]
    assert len(policies) == 2


@each_pod
def test_pods_keep_to_the_restricted_profile(name: str) -> None:
    pod = pods()[name]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    # Only the runner talks to Kubernetes; links would set MLFLOW_PORT and the like to addresses.
    assert pod.get("automountServiceAccountToken", True) == (name == "runner")
    assert pod["enableServiceLinks"] is False
    assert not [volume for volume in pod.get("volumes", []) if "hostPath" in volume]
    for container in containers(name):
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert container["resources"]["limits"]["memory"]


@each_pod
def test_passwords_are_referred_to(name: str) -> None:
    for container in containers(name):
        for variable in container.get("env", []):
            if "PASSWORD" in variable["name"]:
                assert variable["valueFrom"] == {"secretKeyRef": {"name": "heml-database", "key": "password"}}
            else:
                assert isinstance(variable["value"], str)
                assert "@" not in variable["value"]


@each_pod
def test_volumes_and_accounts_are_there(name: str) -> None:
    pod = pods()[name]
    here = {volume["name"] for volume in pod.get("volumes", [])}
    for volume in pod.get("volumes", []):
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in names("PersistentVolumeClaim")
        if "configMap" in volume:
            assert volume["configMap"]["name"] in names("ConfigMap")
    if name == "postgres":
        here.add("data")  # of its claim template
    for container in containers(name):
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= here
    assert {pod[key] for key in ("serviceAccountName",) if key in pod} <= names("ServiceAccount")


@each_pod
def test_commands_are_there(name: str, check_command: Callable[[Sequence[str]], None]) -> None:
    for container in containers(name):
        command = container.get("command") or container.get("args")
        if name != "postgres":
            check_command(command)
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if http := container.get(probe, {}).get("httpGet"):
                assert http["port"] in ports


def test_services_lead_to_pods() -> None:
    ports = {
        name: {port["name"] for container in containers(name) for port in container.get("ports", [])} for name in pods()
    }
    services = [document for document in DOCUMENTS if document["kind"] == "Service"]
    assert {service["metadata"]["name"] for service in services} == {"postgres", "prefect", "mlflow"}
    for service in services:
        app = service["spec"]["selector"]["app"]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports[app]


def test_the_servers_are_those_of_compose() -> None:
    """They were run together; here they are the same, but for where secrets come from."""
    services = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]
    for name in ("prefect", "mlflow", "runner"):
        (container,) = pods()[name]["containers"]
        assert container["command"] == services[name]["command"]
        ours = {variable["name"]: variable.get("value") for variable in container["env"]}
        theirs = services[name]["environment"]
        assert set(theirs) - set(ours) <= {"HEML_THREADS"}
        same = {key for key in ours if key in theirs and ours[key] == theirs[key]}
        assert set(ours) - same <= {
            *("PREFECT_SERVER_DATABASE_PASSWORD", "PGPASSWORD"),
            *("HEML_DASK_ADDRESS", "HEML_DEVICE", "PREFECT_WORKER_WEBSERVER_HOST"),
        }
    (postgres,) = pods()["postgres"]["containers"]
    assert postgres["image"] == services["postgres"]["image"]
    (statement,) = [document["data"]["databases.sql"] for document in DOCUMENTS if document["kind"] == "ConfigMap"]
    assert (INFRA / "docker" / "databases.sql").read_text().endswith(statement)


def test_each_kind_of_worker_offers_its_own_resource() -> None:
    for name, offered, gpus in (("worker", "CPU=1", None), ("cuda", "CUDA=1", "1")):
        (container,) = pods()[name]["containers"]
        words = container["args"]
        assert words[words.index("--resources") + 1] == offered
        assert container["resources"]["limits"].get("nvidia.com/gpu") == gpus
        assert container["volumeMounts"] == [{"name": "home", "mountPath": "/opt/heml/.heml"}]
    for name in set(pods()) - {"cuda"}:
        assert "nvidia.com/gpu" not in str(pods()[name])


def test_the_home_can_be_written_to_from_every_machine() -> None:
    claims = {
        document["metadata"]["name"]: document["spec"] for document in DOCUMENTS if "VolumeClaim" in document["kind"]
    }
    assert claims["heml-home"]["accessModes"] == ["ReadWriteMany"]


def test_the_image_has_a_version() -> None:
    (image,) = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["images"]
    assert (image["name"], image["newTag"]) == ("heml", "0.1.0")
    assert {container["image"] for name in pods() for container in containers(name)} == {
        "heml",
        "postgres:17.6-bookworm",
    }
