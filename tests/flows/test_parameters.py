from pathlib import Path

import pytest

from flows.parameters import TrainParameters


@pytest.mark.parametrize(
    ("tree", "name"), [("auto", "auto"), ("celeba", "celeba"), ("/data/trees/faces.yaml", "faces")]
)
def test_a_run_is_called_by_its_tree_without_folders(tree: str, name: str) -> None:
    assert TrainParameters(store=Path("store"), tree=tree).tree_name == name
