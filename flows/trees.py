"""The tree that a user names: a preset, a YAML file, or balanced pairs of the store's classes."""

from importlib.resources import files
from pathlib import Path

import yaml

from tasks.errors import InputError
from tasks.segments.compose import BACKGROUND_CLASS
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree, balanced_tree, load_tree, parse_tree

AUTO = "auto"
PRESETS = files("flows") / "presets"


def preset_names() -> tuple[str, ...]:
    """Names of the presets."""
    return tuple(sorted(Path(entry.name).stem for entry in PRESETS.iterdir() if entry.name.endswith(".yaml")))


def preset_tree(name: str) -> SegmentTree:
    """The preset of that name, one of `preset_names()`."""
    text = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_tree(yaml.safe_load(text), where=f"the preset {name}")


def fitting_presets(store: SegmentStore) -> dict[str, SegmentTree]:
    """The presets all of whose classes a store has, by name."""
    have = set(store.classes.values())
    trees = {name: preset_tree(name) for name in preset_names()}
    needs = {name: {part for leaf in tree.leaves for part in leaf.classes or ()} for name, tree in trees.items()}
    return {name: tree for name, tree in trees.items() if needs[name] <= have}


def resolve_tree(name: str, store: SegmentStore) -> SegmentTree:
    """The tree of that name for a store.

    Args:
        name: `auto`, a preset, or a YAML file.
        store: whose classes the tree has to fit.

    Raises:
        InputError: there is no such tree, or it names a segment that the store does not have.
    """
    if name == AUTO:
        classes = [label for class_id, label in store.classes.items() if class_id != BACKGROUND_CLASS]
        return balanced_tree(classes)
    if name in preset_names():
        tree = preset_tree(name)
    elif Path(name).suffix in (".yaml", ".yml"):
        tree = load_tree(Path(name))
    else:
        raise InputError(f"unknown tree {name!r}: auto, a preset ({', '.join(preset_names())}), or a .yaml file")
    tree.check(store.classes.values())
    return tree
