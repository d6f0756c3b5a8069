"""Trained trees as folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.metric.tree_writer import write_trained_tree

WriteTree = Callable[..., None]


@pytest.fixture
def write_tree(grown: Any) -> WriteTree:
    """Writes the grown tree to a folder, with whatever is changed of it."""

    def write(folder: Path, choice: str = "auto", **changed: Any) -> None:
        given = {"tree": grown.tree, "store": grown.store, "options": grown.options, "results": grown.results}
        write_trained_tree(folder, **{**given, "decisions": grown.decisions, "facts": {}, "choice": choice, **changed})

    return write


@pytest.fixture
def folder(write_tree: WriteTree, tmp_path: Path) -> Path:
    """A trained tree's folder that a test may change."""
    write_tree(tmp_path / "model", facts={"additive": {"slope": 0.5}})
    return tmp_path / "model"
