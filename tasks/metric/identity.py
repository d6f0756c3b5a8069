"""A node's identity: the digest of all that its weights depend on. Two nodes with one key have one result."""

import ast
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.metric.checkpoint import file_sha256
from tasks.metric.options import TrainingOptions

ROOMS = Path(__file__).parent.parent
# What makes a node's weights and figures: these modules, and all that they import.
TRAINING = ("metric/training.py", "metric/training_data.py", "metric/plan.py")
AVSL_TRAINING = (*TRAINING, "metric/avsl_training.py")
# What they import that no weight depends on, and why.
NOT_THE_METHOD: Mapping[str, str] = {
    "errors.py": "messages",
    "temporary_path.py": "files",
    "metric/checkpoint.py": "files",
    "metric/epoch_reports.py": "a record",
    "metric/identity.py": "the key itself",
    "metric/node_job.py": "a record",
    "metric/node_result.py": "a record",
    "metric/options.py": "its values are in the key",
    "metric/out_of_memory.py": "an error's name",
    "metric/peak_memory.py": "a measurement",
    "metric/subject.py": "its values are in the key",
    "metric/training_state.py": "a resumed training ends with the same weights",
    "segments/source.py": "types",
    "segments/store.py": "its digest is in the key",
    "segments/tree.py": "the classes are in the key",
}


@cache
def made_of(starts: tuple[str, ...]) -> tuple[str, ...]:
    """Files under tasks/, and all that they import of the method, sorted."""
    seen: set[str] = set()
    waiting = set(starts)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting |= _imported(name) - seen - set(NOT_THE_METHOD)
    return tuple(sorted(seen))


@cache
def code_version(modules: tuple[str, ...]) -> str:
    """Digest of files under tasks/ without comments and docstrings: editing those retrains nothing."""
    digest = hashlib.sha256()
    for name in modules:
        tree = ast.parse((ROOMS / name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
                value = body[0].value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    body[0].value = ast.Constant("")
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()


def node_identity(
    class_ids: tuple[int, ...] | None,
    store_digest: str,
    options: TrainingOptions,
    children: Sequence[str | None],
    *,
    silhouette: bool = False,
) -> dict[str, Any]:
    """All that a node's weights depend on, as plain values.

    The node's name is not among them: renaming retrains nothing. A leaf's start does not depend on averaging.

    Args:
        class_ids: the classes that it shows; None for every pixel.
        store_digest: of the data.
        options: how it is trained, its own framing and size among them.
        children: SHA-256 of each child's checkpoint, in order; None for a degenerate child. Empty for a leaf.
        silhouette: whether it sees masks alone.

    Raises:
        InputError: the weights to start from are a file that cannot be read.
    """
    training = training_values(options)
    del training["combined_epochs"]  # a combined node's own `epochs` say it
    if not children:
        del training["averaging"]
    return {
        "class_ids": class_ids,
        "store": store_digest,
        "training": training,
        "children": list(children),
        "silhouette": silhouette,
        "code": code_version(made_of(TRAINING)),
    }


def avsl_identity(class_ids: tuple[int, ...] | None, store_digest: str, options: TrainingOptions) -> dict[str, Any]:
    """All that an AVSL baseline's weights depend on, as plain values. Its loss is its own, and it has no children.

    Args:
        class_ids: the classes that it sees; None for every pixel.
        store_digest: of the data.
        options: how it is trained.

    Raises:
        InputError: the weights to start from are a file that cannot be read.
    """
    training = training_values(options)
    del training["averaging"], training["combined_epochs"], training["loss"]
    return {
        "method": "avsl",
        "class_ids": class_ids,
        "store": store_digest,
        "training": training,
        "code": code_version(made_of(AVSL_TRAINING)),
    }


def node_key(identity: dict[str, Any]) -> str:
    """The identity's digest, 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def training_values(options: TrainingOptions) -> dict[str, Any]:
    """The options' values; a file of weights counts by its content.

    Raises:
        InputError: it cannot be read.
    """
    training = asdict(options)
    if options.weights not in ("none", "DEFAULT"):
        training["weights"] = _digest(Path(options.weights))
    return training


def _digest(weights: Path) -> str:
    try:
        return file_sha256(weights)
    except OSError as error:
        raise InputError(f"the weights {weights} cannot be read: {error}; give none, DEFAULT or a file") from None


def _imported(name: str) -> set[str]:
    """The files under tasks/ that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse((ROOMS / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tasks."):
            path = node.module.removeprefix("tasks.").replace(".", "/")
            names = {alias.name for alias in node.names}
            found |= {f"{path}/{name}.py" for name in names} if (ROOMS / path).is_dir() else {f"{path}.py"}
    return found
