"""The pods that a cluster file becomes, down to what Dask's operator makes of them, without a Kubernetes."""

import shutil
import sysconfig
import threading
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dask_kubernetes.operator.controller import controller
from jsonschema import Draft202012Validator
from kr8s._api import Api

from infra import kubernetes_cluster as module
from infra.cluster_file import KubernetesFile, read_cluster_file
from infra.kubernetes_cluster import kubernetes_cluster, kubernetes_specs
from infra.settings import load_settings
from tasks.errors import InputError

EXAMPLE = Path(__file__).parents[2] / "infra" / "clusters" / "kubernetes.yaml"
CRDS = Path(controller.__file__).parents[1] / "deployment" / "helm" / "dask-kubernetes-operator" / "crds"
HOME = Path("/srv/heml")


def example(tmp_path: Path, **change: str) -> KubernetesFile:
    text = EXAMPLE.read_text()
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    file = read_cluster_file(path)
    assert isinstance(file, KubernetesFile)
    return file


def crd(name: str) -> Draft202012Validator:
    """The schema of a custom resource, as the operator installs it."""
    definition = yaml.safe_load((CRDS / f"{name}.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    return Draft202012Validator(version["schema"]["openAPIV3Schema"])


def container(spec: dict[str, Any]) -> dict[str, Any]:
    (only,) = spec["spec"]["containers"]
    return dict(only)


def worker_deployment(group: dict[str, Any], name: str) -> dict[str, Any]:
    """What the operator makes of a group of workers, one of these for each."""
    made: dict[str, Any] = controller.build_worker_deployment_spec(
        worker_group_name=f"{name}-group",
        namespace="heml",
        cluster_name=name,
        uuid="0a1b2c3d",
        pod_spec=group["spec"],
        annotations={},
        labels={},
    )
    return made


def test_there_are_workers_of_two_kinds_and_one_scheduler(tmp_path: Path) -> None:
    cluster, more = kubernetes_specs(example(tmp_path), HOME, "heml-1")
    crd("daskcluster").validate(cluster)
    assert cluster["metadata"]["name"] == "heml-1"
    assert list(more) == ["cuda"]
    group = {"spec": {"cluster": "heml-1", "worker": more["cuda"]}}
    crd("daskworkergroup").validate(group)
    assert (cluster["spec"]["worker"]["replicas"], more["cuda"]["replicas"]) == (1, 4)


def test_only_workers_with_a_gpu_ask_for_one(tmp_path: Path) -> None:
    cluster, more = kubernetes_specs(example(tmp_path), HOME, "heml-1")
    plain = {"cpu": "4", "memory": str(16 * 1024**3)}
    assert container(cluster["spec"]["worker"])["resources"] == {"requests": plain, "limits": plain}
    wanted = {"cpu": "8", "memory": str(32 * 1024**3), "nvidia.com/gpu": "1"}
    assert container(more["cuda"])["resources"] == {"requests": wanted, "limits": wanted}
    assert "nvidia.com/gpu" not in container(cluster["spec"]["scheduler"])["resources"]["limits"]
    assert more["cuda"]["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_workers_offer_what_they_have(tmp_path: Path) -> None:
    cluster, more = kubernetes_specs(example(tmp_path), HOME, "heml-1")
    for group, offered, threads in ((cluster["spec"]["worker"], "CPU=2", "2"), (more["cuda"], "CUDA=1", "4")):
        words = container(group)["args"]
        assert words[words.index("--resources") + 1] == offered
        assert words[words.index("--nthreads") + 1] == threads
        assert words[words.index("--memory-limit") + 1] == "0"


def test_every_command_exists(tmp_path: Path) -> None:
    """dask-kubernetes names commands that Dask has dropped."""
    cluster, more = kubernetes_specs(example(tmp_path), HOME, "heml-1")
    commands = [container(part)["args"][:2] for part in (*cluster["spec"].values(), *more.values()) if part]
    assert commands == [["dask", "worker"], ["dask", "scheduler"], ["dask", "worker"]]
    assert shutil.which("dask", path=sysconfig.get_path("scripts"))


def test_all_workers_see_the_home(tmp_path: Path) -> None:
    cluster, more = kubernetes_specs(example(tmp_path, **{"heml-home ": "shared-files "}), HOME, "heml-1")
    for group in (cluster["spec"]["worker"], more["cuda"]):
        assert container(group)["volumeMounts"] == [{"name": "home", "mountPath": "/srv/heml"}]
        assert group["spec"]["volumes"] == [{"name": "home", "persistentVolumeClaim": {"claimName": "shared-files"}}]


def test_kubernetes_takes_what_the_operator_makes_of_them(tmp_path: Path) -> None:
    cluster, more = kubernetes_specs(example(tmp_path), HOME, "heml-1")
    scheduler = cluster["spec"]["scheduler"]
    deployment = controller.build_scheduler_deployment_spec("heml-1", scheduler["spec"], {}, {})
    service = controller.build_scheduler_service_spec("heml-1", scheduler["service"], {}, {})
    workers = [worker_deployment(group, "heml-1") for group in (cluster["spec"]["worker"], *more.values())]
    for made in (deployment, service, *workers):
        kubernetes_validate.validate(made, "1.37", strict=True)
    assert service["spec"]["type"] == "ClusterIP"
    names = [variable["name"] for variable in workers[0]["spec"]["template"]["spec"]["containers"][0]["env"]]
    assert names == ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "DASK_WORKER_NAME", "DASK_SCHEDULER_ADDRESS"]


def test_no_pod_asks_for_rights(tmp_path: Path) -> None:
    cluster, more = kubernetes_specs(example(tmp_path), HOME, "heml-1")
    for part in (cluster["spec"]["worker"], cluster["spec"]["scheduler"], more["cuda"]):
        assert part["spec"]["securityContext"]["runAsNonRoot"]
        assert container(part)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not part["spec"]["enableServiceLinks"]


def test_one_kind_of_workers_is_enough(tmp_path: Path) -> None:
    file = example(tmp_path)
    for kind, offered in (("cpu", "CPU=2"), ("cuda", "CUDA=1")):
        alone = file.model_copy(update={"cuda" if kind == "cpu" else "cpu": None})
        cluster, more = kubernetes_specs(alone, HOME, "heml-1")
        assert more == {}
        assert offered in container(cluster["spec"]["worker"])["args"]


class Recorded:
    """Stands in for `KubeCluster`: keeps what it is given."""

    made: list["Recorded"]

    def __init__(self, **given: Any) -> None:
        self.given, self.groups, self.closed = given, {}, False
        Recorded.made.append(self)

    def add_worker_group(self, name: str, custom_spec: dict[str, Any]) -> None:
        if "forbidden" in str(custom_spec):
            raise RuntimeError("403 Forbidden")
        self.groups[name] = custom_spec

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def some_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Api:
        def version(self) -> None: ...

    Recorded.made = []
    monkeypatch.setattr(module, "KubeCluster", Recorded)
    monkeypatch.setattr(module.kr8s, "api", lambda **_: Api())


@pytest.mark.usefixtures("some_kubernetes")
def test_the_cluster_is_asked_for_with_both_groups(tmp_path: Path) -> None:
    given = load_settings(home=tmp_path, device="cpu")
    file = example(tmp_path)
    first, second = kubernetes_cluster(file, given), kubernetes_cluster(file, given)
    assert [made.given["namespace"] for made in Recorded.made] == ["heml", "heml"]
    names = [made.given["custom_cluster_spec"]["metadata"]["name"] for made in (first, second)]
    assert names[0] != names[1]
    spec, more = kubernetes_specs(file, given.home, names[0])
    assert (first.given["custom_cluster_spec"], first.groups) == (spec, more)


@pytest.mark.usefixtures("some_kubernetes")
def test_a_scheduler_that_no_machine_takes_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = threading.Event()
    deleted = []

    class Left:
        def __init__(self, name: str) -> None:
            self.name = name

        def delete(self) -> None:
            deleted.append(self.name)
            placed.set()

    def wait(**_: object) -> None:
        assert placed.wait(60)

    monkeypatch.setattr(module, "KubeCluster", wait)
    monkeypatch.setattr(module.kr8s, "get", lambda kind, name, namespace: [Left(f"{namespace}/{kind}/{name}")])
    file = example(tmp_path, **{"wait_seconds: 1800": "wait_seconds: 0.2"})
    with pytest.raises(InputError, match="the scheduler's pod does not run after 0 s: see `kubectl get daskclusters`"):
        kubernetes_cluster(file, load_settings(home=tmp_path, device="cpu"))
    (name,) = deleted
    assert name.startswith("heml/daskclusters.kubernetes.dask.org/heml-")


@pytest.mark.usefixtures("some_kubernetes")
def test_a_cluster_that_is_half_there_is_taken_away(tmp_path: Path) -> None:
    file = example(tmp_path, **{"key: nvidia.com/gpu": "key: forbidden"})
    with pytest.raises(InputError, match=r"no Dask cluster in the namespace heml: 403 Forbidden: see `kubectl get"):
        kubernetes_cluster(file, load_settings(home=tmp_path, device="cpu"))
    (made,) = Recorded.made
    assert made.closed


@pytest.mark.parametrize(
    ("config", "message"),
    [(None, "Unable to find valid credentials"), ("http://127.0.0.1:9", "All connection attempts failed")],
)
def test_where_no_kubernetes_answers_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str | None, message: str
) -> None:
    path = tmp_path / "kubeconfig"
    if config:
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "there", "cluster": {"server": config}}],
            "users": [{"name": "us", "user": {"token": "none"}}],
            "contexts": [{"name": "it", "context": {"cluster": "there", "user": "us"}}],
            "current-context": "it",
        }
        path.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setenv("HOME", str(tmp_path))
    Api._instances.clear()  # kr8s gives the client of an earlier test again, as long as something still holds it
    with pytest.raises(InputError, match=f"starts no Dask cluster in the namespace heml: {message}") as caught:
        kubernetes_cluster(example(tmp_path), load_settings(home=tmp_path, device="cpu"))
    assert "\n" not in str(caught.value)
