"""Models in MLflow's registry: saved as code and folders, compared by one score, and fetched again."""

import hashlib
import logging
import math
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import infra.mlflow_environment  # noqa: F401 (for its effect, which has to come before MLflow)

# isort: split
import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tasks.errors import InputError, reason_of

CHAMPION = "champion"
SCORE_TAG = "score"
DIGEST_TAG = "digest"
REQUIREMENTS = ("torch", "torchvision", "transformers", "safetensors", "numpy", "scipy", "pillow", "pyarrow", "mlflow")
"""Packages that the model needs, as installed here. Listed by hand: MLflow would load the model in another process to
find them."""

# It warns that a model of pairs of photos has no MLflow signature.
logging.getLogger("mlflow.pyfunc").setLevel(logging.ERROR)


def register(
    client: MlflowClient,
    run_id: str,
    name: str,
    code: Path,
    artifacts: Mapping[str, str],
    score: float | None,
    digest: str | None = None,
) -> str:
    """Save a pyfunc model below a run, register it, and make it the champion if its score is the best so far.

    A model of the same digest is not registered twice.

    The fluent ``log_model`` would do it for the active run of this thread, of which there is none.

    Returns:
        ``models:/NAME/VERSION``.
    """
    if digest is not None:
        for known in client.search_model_versions(f"name='{name}'"):
            if known.tags.get(DIGEST_TAG) == digest:
                return f"models:/{name}/{known.version}"
    experiment = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment, name=name, source_run_id=run_id, model_type="pyfunc")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        with warnings.catch_warnings():
            # Of MLflow's own classes, when it first imports them here.
            warnings.filterwarnings("ignore", message=".*Any type hint", category=UserWarning)
            mlflow.pyfunc.save_model(
                path=folder,
                python_model=str(code),
                artifacts=dict(artifacts),
                pip_requirements=[f"{package}=={version(package).split('+')[0]}" for package in REQUIREMENTS],
                mlflow_model=mlflow.models.Model(run_id=run_id, model_id=logged.model_id),
            )
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    _create_registered_model(client, name)
    tags = {} if score is None or math.isnan(score) else {SCORE_TAG: repr(score)}
    if digest is not None:
        tags[DIGEST_TAG] = digest
    # A server looks `models:/` up in its own store; without one, MLflow would look in the global store, of this folder.
    source = f"models:/{logged.model_id}" if client.tracking_uri.startswith("http") else logged.artifact_location
    made = client.create_model_version(name, source, run_id=run_id, tags=tags, model_id=logged.model_id)
    champion = client.get_registered_model(name).aliases.get(CHAMPION)
    if champion is None or _score(made) > _score(client.get_model_version(name, str(champion))):
        client.set_registered_model_alias(name, CHAMPION, made.version)
    return f"models:/{name}/{made.version}"


def download_model(uri: str, tracking_uri: str, copies: Path) -> Path:
    """The local folder of a model: its own place where the artifacts are files of this machine, else a copy.

    Args:
        uri: of the model.
        tracking_uri: where it is tracked.
        copies: folder of the copies, which the workers see too. What was copied before is not copied again; of a run
            that has not ended, more may have come since.

    Raises:
        InputError: there is no such model, or the store does not answer.
    """
    file = sqlite_file(tracking_uri)
    if file and not file.exists():
        # Asked for it, MLflow would make an empty database there.
        raise InputError(f"no model {uri}: nothing is tracked at {tracking_uri} yet; train a tree with `heml train`")
    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    try:
        source, final = (_source(client, uri), True) if uri.startswith("models:/") else _source_in_run(client, uri)
        if urlsplit(source).scheme in ("", "file"):
            return Path(mlflow.artifacts.download_artifacts(artifact_uri=source, tracking_uri=tracking_uri))
        copy = copies / hashlib.sha256(f"{tracking_uri} {source}".encode()).hexdigest()[:32]
        if final and copy.exists():
            return copy
        copies.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=copies) as folder:
            got = mlflow.artifacts.download_artifacts(artifact_uri=source, tracking_uri=tracking_uri, dst_path=folder)
            shutil.rmtree(copy, ignore_errors=True)
            Path(got).rename(copy)
        return copy
    except (MlflowException, OSError) as error:
        raise InputError(f"no model {uri} at {tracking_uri}: {reason_of(error)}; `heml train` registers one") from error


def _source(client: MlflowClient, uri: str) -> str:
    """Where a registered version's files are: by alias, by number, or, without either, the latest."""
    parts = re.fullmatch(r"models:/([^@/]+)(?:@([^@/]+)|/([^@/]+))?", uri)
    if parts is None:
        raise InputError(f"{uri} names no model: write models:/NAME@champion, models:/NAME/3 or models:/NAME")
    name, alias, number = parts.groups()
    if alias:
        number = client.get_model_version_by_alias(name, alias).version
    elif number is None or number == "latest":
        number = max((int(found.version) for found in client.search_model_versions(f"name='{name}'")), default=1)
    source = client.get_model_version_download_uri(name, str(number))
    if logged := re.fullmatch(r"models:/(m-[^/]+)", source):
        source = client.get_logged_model(logged[1]).artifact_location
    return str(source)


def _source_in_run(client: MlflowClient, uri: str) -> tuple[str, bool]:
    """Where ``runs:/RUN/PATH`` lies, and whether the run has ended."""
    parts = re.fullmatch(r"runs:/([^/]+)/(.+)", uri)
    if parts is None:
        raise InputError(f"{uri} names no folder of a run: write runs:/RUN/PATH")
    run = client.get_run(parts[1]).info
    return f"{run.artifact_uri}/{parts[2]}", run.end_time is not None


def _create_registered_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _score(model: ModelVersion) -> float:
    return float(model.tags.get(SCORE_TAG, -math.inf))


def sqlite_file(tracking_uri: str) -> Path | None:
    """The database's file, where the address is one of SQLite."""
    found = re.fullmatch(r"sqlite:///(.*?)(\?.*)?", tracking_uri)
    return Path(found[1]) if found else None
