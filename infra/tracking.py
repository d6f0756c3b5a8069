"""Where runs, figures, files and models are kept: a small protocol, and MLflow behind it.

Tasks are handed the address of the tracking store and open it themselves: a tracker is not sent between processes.
MLflow itself is imported only when it is used; it takes seconds.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import yaml

from infra.run_status import RunStatus
from infra.settings import Settings
from tasks.errors import InputError


class Tracker(Protocol):
    """What tasks need of a tracking store.

    From ``start_run`` to ``end_run`` nothing raises: what cannot be tracked in the middle of a training is kept until
    the store answers again, counted in ``missing`` until then, and said once, as a warning. A run may
    be opened later and goes by a handle until then; ``""`` is no run, which the methods take and skip.
    """

    @property
    def missing(self) -> int:
        """How many calls of this process are not delivered, or were refused."""
        ...

    def prepare(self, experiment: str) -> None:
        """Create the store and the experiment if there are none. Called once, by the flow, before any task.

        Files of its runs go to ``mlflow-artifacts`` beside the database file, or where a tracking server keeps them.

        Args:
            experiment: its name; one a data set.

        Raises:
            InputError: the store does not answer, or the experiment was deleted.
        """
        ...

    def start_run(
        self,
        experiment: str,
        name: str,
        *,
        parent_run_id: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Open a run and return its id, or a handle that the other methods take as well.

        Args:
            experiment: that it belongs to.
            name: of the run.
            parent_run_id: the store's id of the run that it is below.
            params: of the run.
            tags: of the run.
        """
        ...

    def run_id(self, handle: str) -> str:
        """The store's id of a run of this process, by what `start_run` gave; ``""`` while it is not open."""
        ...

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int, *, unless_there: bool = False) -> None:
        """Log figures; NaN and infinity are kept as such. Names: letters, digits, ``_-./ ``, no ``@``.

        With ``unless_there`` only if the run has the first of them not yet at this step.
        """
        ...

    def log_artifact(self, run_id: str, path: str | Path, folder: str = "") -> None:
        """Keep a copy of a file under the run's ``folder``."""
        ...

    def log_dict(self, run_id: str, content: Mapping[str, Any], file: str) -> None:
        """Keep a mapping as a JSON or YAML file, after the ending of ``file``."""
        ...

    def log_table(self, run_id: str, columns: Mapping[str, list[Any]], file: str) -> None:
        """Keep a table, column name to its cells, as MLflow shows tables; ``file`` ends in ``.json``."""
        ...

    def log_dataset_input(self, run_id: str, name: str, digest: str, source: str) -> None:
        """Say which data the run was trained on: the store's name, digest and folder."""
        ...

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        ...

    def end_run(self, run_id: str, status: RunStatus) -> None:
        """Close a run."""
        ...

    def settle(self, patience: float = 10.0) -> bool:
        """Whether all that was tracked has reached the store, after up to ``patience`` seconds of new tries."""
        ...

    def register_model(
        self,
        run_id: str,
        name: str,
        code: Path,
        artifacts: Mapping[str, str],
        score: float | None,
        *,
        digest: str | None = None,
    ) -> str:
        """Register a version of a model; the alias ``champion`` moves to it only from a version with a lower score.

        Args:
            run_id: the run that made it.
            name: of the registered model.
            code: Python file that calls ``mlflow.models.set_model`` (models from code). Its ``predict`` has to take a
                ``pandas.DataFrame`` and say so, or MLflow warns.
            artifacts: folders that the code needs, by name.
            score: higher is better; None if there is none, which beats nothing. The first version always has the alias.
            digest: of the model; a version that was registered with the same one is returned instead of a new one.

        Returns:
            ``models:/NAME/VERSION``.
        """
        ...


def open_tracker(uri: str) -> Tracker:
    """MLflow's tracker of an address, one a process."""
    return _open(uri)


@cache
def _open(uri: str) -> Tracker:
    from infra.mlflow_tracking import MlflowTracker  # noqa: PLC0415 (takes seconds)

    return MlflowTracker(uri)


def fetch_model(uri: str, settings: Settings) -> Path:
    """The local folder of a trained tree.

    Args:
        uri: ``models:/NAME@champion``, ``models:/NAME/3``, ``models:/NAME`` (the latest), ``runs:/RUN/PATH``, or a
            local folder: a registered model's, the tree's own, or that of the training that made it.
        settings: whose tracking store is meant.

    Raises:
        InputError: there is no such folder or model.
    """
    if uri.startswith(("models:/", "runs:/")):
        from infra.mlflow_models import download_model  # noqa: PLC0415 (as above)

        folder = download_model(uri, settings.tracking_uri, settings.models)
    else:
        folder = Path(uri).expanduser().absolute()
        if not _holds_tree(folder):
            folder /= "model"  # as `heml train --out` makes it
        if not _holds_tree(folder):
            raise InputError(
                f"no trained tree at {uri}: give the folder that `heml train` wrote, or models:/NAME@champion"
            )
    description = folder / "MLmodel"
    if not description.exists():
        return folder
    try:
        # This loader knows texts, lists and mappings only, and does not unfold what refers to itself.
        fields = yaml.load(description.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        inside = folder / str(fields["flavors"]["python_function"]["artifacts"]["tree"]["path"])
        is_inside = inside.resolve().is_relative_to(folder.resolve())
    except (LookupError, TypeError, ValueError, OSError, RuntimeError, yaml.YAMLError) as error:
        raise InputError(f"the model at {folder} has no tree: it was not registered by `heml train`") from error
    if not is_inside:
        raise InputError(f"the model at {folder} says that its tree is elsewhere, at {inside}: register it anew")
    return inside


def _holds_tree(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("MLmodel", "tree.json"))
