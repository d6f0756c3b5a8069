"""Presets: each is a tree, and the celeba one pairs as HEML's Table III prints."""

from pathlib import Path

import pytest

from flows.trees import fitting_presets, preset_names, resolve_tree
from tasks.errors import InputError
from tasks.segments.class_names import class_table_names, read_class_names
from tasks.segments.store import SegmentStore


class Classes:
    """A stand-in for a store: only its class table is asked."""

    def __init__(self, *names: str) -> None:
        self.classes = dict(enumerate(("background", *names)))


PAIRS = {
    "a": "neck cloth", "b": "hair hat", "c": "l_eye r_eye", "d": "l_brow r_brow", "e": "l_ear r_ear",
    "f": "ear_r eye_g", "g": "nose skin", "h": "u_lip l_lip", "m": "a b", "n": "c d", "o": "e f", "p": "g h",
    "x": "m n", "y": "o p", "final": "x y",
}  # fmt: skip


def test_celeba_is_table_iii() -> None:
    leaves = [name for pair in list(PAIRS.values())[:8] for name in pair.split()]
    tree = resolve_tree("celeba", Classes(*leaves))  # type: ignore[arg-type]
    assert len(tree.nodes) == 31
    assert {node.name: " ".join(node.children) for node in tree.nodes if node.children} == PAIRS
    assert tree.root.name == "final" and tree.root.level == 4


def test_every_preset_needs_its_classes() -> None:
    assert set(preset_names()) == {"celeba", "demo", "human-parsing", "sceneparse150"}
    for name in preset_names():
        with pytest.raises(InputError, match="does not have"):
            resolve_tree(name, Classes("nothing"))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", class_table_names())
def test_a_study_s_tree_fits_its_class_table(name: str) -> None:
    tree = resolve_tree(name, Classes(*list(read_class_names(Path(name)).values())[1:]))  # type: ignore[arg-type]
    assert len(tree.leaves) == (8 if name == "sceneparse150" else 16)


def test_auto_pairs_all_classes_but_the_background(store: SegmentStore) -> None:
    assert [leaf.name for leaf in resolve_tree("auto", store).leaves] == ["body", "badge", "spot"]


def test_presets_fit_a_store_that_has_their_classes_and_others() -> None:
    leaves = [name for pair in list(PAIRS.values())[:8] for name in pair.split()]
    assert list(fitting_presets(Classes(*leaves, "mouth"))) == ["celeba"]  # type: ignore[arg-type]
    assert fitting_presets(Classes(*leaves[1:], "mouth")) == {}  # type: ignore[arg-type]


def test_an_unknown_tree_lists_the_presets(store: SegmentStore) -> None:
    with pytest.raises(InputError, match="celeba"):
        resolve_tree("oak", store)
