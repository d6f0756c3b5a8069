"""A Dask cluster whose scheduler and workers are pods, which Dask's operator keeps running."""

import logging
import queue
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import kr8s
from dask_kubernetes.exceptions import CrashLoopBackOffError, SchedulerStartupError  # type: ignore[import-untyped]  # no types
from dask_kubernetes.operator import KubeCluster, make_cluster_spec, make_worker_spec  # type: ignore[import-untyped]  # as above

from infra.cluster_file import KubernetesFile, KubernetesWorkers, offers
from infra.settings import Settings
from infra.worker_environment import WORKER_ENVIRONMENT
from tasks.errors import InputError, reason_of

CLUSTERS = "daskclusters.kubernetes.dask.org"
GPU = "nvidia.com/gpu"
USER = 10001
"""The image's; the home is writable for its group."""
SCHEDULER = {"cpu": "1", "memory": "2Gi"}
"""Of the scheduler's pod."""
_FAILURES = (
    *(kr8s.ServerError, kr8s.NotFoundError, kr8s.APITimeoutError, kr8s.ConnectionClosedError, httpx.HTTPError),
    *(CrashLoopBackOffError, SchedulerStartupError, OSError, ValueError, RuntimeError),
)


def kubernetes_cluster(file: KubernetesFile, settings: Settings) -> Any:
    """Create the cluster and wait for its scheduler, not for workers. It is deleted when it is closed.

    Args:
        file: what the pods are to be.
        settings: whose home is mounted in the pods.

    Raises:
        InputError: no Kubernetes answers, it refuses, or Dask's operator does not run there.
    """
    name = f"heml-{uuid.uuid4().hex[:8]}"
    cluster, more = kubernetes_specs(file, settings.home, name)
    logging.getLogger("distributed").setLevel(logging.ERROR)
    started = None
    try:
        kr8s.api(namespace=file.namespace).version()  # first, as `KubeCluster` leaves a half-made object behind
        started = _started(cluster, file)
        for kind, spec in more.items():
            started.add_worker_group(kind, custom_spec=spec)
    except _FAILURES as error:
        if started is not None:
            started.close()
        raise InputError(
            f"Kubernetes starts no Dask cluster in the namespace {file.namespace}: {reason_of(error)}: see "
            "`kubectl get daskclusters` and whether Dask's operator is installed"
        ) from error
    return started


def _started(cluster: dict[str, Any], file: KubernetesFile) -> Any:
    """What `KubeCluster` gives, which waits without end for a scheduler whose pod is not placed on any machine."""
    outcome: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def start() -> None:
        try:
            outcome.put(KubeCluster(custom_cluster_spec=cluster, namespace=file.namespace, quiet=True))
        except BaseException as error:
            outcome.put(error)

    # A daemon: one that still waits does not keep the process from ending.
    threading.Thread(target=start, name="KubeCluster", daemon=True).start()
    try:
        result = outcome.get(timeout=file.wait_seconds)
    except queue.Empty as error:
        for left in kr8s.get(CLUSTERS, cluster["metadata"]["name"], namespace=file.namespace):
            left.delete()
        raise TimeoutError(f"the scheduler's pod does not run after {file.wait_seconds:.0f} s") from error
    if isinstance(result, BaseException):
        raise result
    return result


def kubernetes_specs(file: KubernetesFile, home: Path, name: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The `DaskCluster` with its first group of workers, and the other groups by their name.

    Args:
        file: what the pods are to be.
        home: where the claim is mounted.
        name: of the cluster.
    """
    groups: dict[str, dict[str, Any]] = {
        kind: _workers(file, kind, offered, home) for kind, offered in offers(file).items()
    }
    cluster: dict[str, Any] = make_cluster_spec(
        name=name,
        image=file.image,
        resources={"requests": SCHEDULER, "limits": SCHEDULER},
        env=_environment(file),
    )
    scheduler = cluster["spec"]["scheduler"]["spec"]
    # Dask has dropped the command `dask-scheduler`, which dask-kubernetes still writes.
    scheduler["containers"][0]["args"] = ["dask", "scheduler", "--host", "0.0.0.0"]
    _restrict(scheduler)
    cluster["spec"]["worker"] = groups.pop(next(iter(groups)))
    return cluster, groups


def _workers(file: KubernetesFile, kind: str, offered: Mapping[str, float], home: Path) -> dict[str, Any]:
    group = file.cpu if kind == "cpu" else file.cuda
    assert group is not None
    resources = " ".join(f"{name}={amount:g}" for name, amount in offered.items())
    # Kubernetes minds the memory. Dask would count the decoded images, which are mapped, and stop the worker.
    options = ["--nthreads", str(group.tasks), "--resources", resources, "--memory-limit", "0"]
    spec: dict[str, Any] = make_worker_spec(
        image=file.image,
        n_workers=group.count,
        resources=_resources(group, kind),
        env=_environment(file),
        worker_command=["dask", "worker", *options],
    )
    pod = spec["spec"]
    pod["containers"][0]["volumeMounts"] = [{"name": "home", "mountPath": str(home)}]
    pod["volumes"] = [{"name": "home", "persistentVolumeClaim": {"claimName": file.home_claim}}]
    _restrict(pod)
    spec["spec"] = {**pod, **group.pod}
    return spec


def _restrict(pod: dict[str, Any]) -> None:
    """Ask for no more rights than a namespace gives whose pod security is "restricted"."""
    pod["enableServiceLinks"] = pod["automountServiceAccountToken"] = False
    user = {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER}
    pod["securityContext"] = {**user, "seccompProfile": {"type": "RuntimeDefault"}}
    pod["containers"][0]["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _resources(group: KubernetesWorkers, kind: str) -> dict[str, dict[str, str]]:
    asked = {"cpu": str(group.cores), "memory": str(group.bytes)}
    if kind == "cuda":
        asked[GPU] = "1"
    return {"requests": asked, "limits": asked}


def _environment(file: KubernetesFile) -> dict[str, str]:
    return {**WORKER_ENVIRONMENT, **file.environment}
