import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.segments.tree import SegmentTree, balanced_tree, load_tree, parse_tree

# HEML, Table III.
CELEBA = {
    "tree": [
        "neck", "cloth", "hair", "hat", "l_eye", "r_eye", "l_brow", "r_brow",
        "l_ear", "r_ear", "ear_r", "eye_g", "nose", "skin", "u_lip", "l_lip",
    ],
    "names": {
        "a": ["neck", "cloth"], "b": ["hair", "hat"], "c": ["l_eye", "r_eye"], "d": ["l_brow", "r_brow"],
        "e": ["l_ear", "r_ear"], "f": ["ear_r", "eye_g"], "g": ["nose", "skin"], "h": ["u_lip", "l_lip"],
        "m": ["a", "b"], "n": ["c", "d"], "o": ["e", "f"], "p": ["g", "h"],
        "x": ["m", "n"], "y": ["o", "p"], "final": ["x", "y"],
    },
}  # fmt: skip


def leaves(count: int) -> list[str]:
    return [f"s{number}" for number in range(count)]


def below(tree: SegmentTree, name: str) -> list[str]:
    """The leaves under a node, by walking down to them."""
    node = tree[name]
    return [leaf for child in node.children for leaf in below(tree, child)] or [name]


@given(st.integers(2, 40))
def test_a_balanced_tree_of_any_number_of_leaves(count: int) -> None:
    tree = balanced_tree(leaves(count))
    assert len(tree.nodes) == 2 * count - 1
    assert len({node.name for node in tree.nodes}) == 2 * count - 1
    assert [leaf.name for leaf in tree.leaves] == leaves(count)
    assert (tree.root.name, tree.root.classes) == ("root", None)
    assert tree.root.level == (count - 1).bit_length()
    seen: set[str] = set()
    for node in tree.nodes:
        assert set(node.children) <= seen  # children before parents
        seen.add(node.name)
        assert list(node.leaves) == below(tree, node.name)
        if node.children:
            assert len(node.children) == 2
            assert node.level == 1 + max(tree[child].level for child in node.children)
        if node is not tree.root:
            assert node.classes == node.leaves
    children = [child for node in tree.nodes for child in node.children]
    assert sorted(children) == sorted(node.name for node in tree.nodes if node is not tree.root)


nested = st.recursive(st.just("leaf"), lambda part: st.lists(part, min_size=1, max_size=4), max_leaves=25).filter(
    lambda part: json.dumps(part).count("leaf") >= 2
)


def numbered(part: Any, numbers: Any) -> Any:
    return f"s{next(numbers)}" if isinstance(part, str) else [numbered(child, numbers) for child in part]


@given(nested, st.booleans())
def test_a_tree_comes_back_from_its_dict_and_from_yaml(part: Any, united: bool) -> None:
    description: dict[str, Any] = {"tree": numbered(part, iter(range(100)))}
    if united:
        description["leaves"] = {"s0": ["left", "right"], "s1": ["other"]}
    tree = parse_tree(description)
    assert parse_tree(tree.to_dict()) == tree
    assert parse_tree(yaml.safe_load(yaml.safe_dump(tree.to_dict()))) == tree
    assert parse_tree(json.loads(json.dumps(tree.to_dict()))) == tree
    assert len({node.name for node in tree.nodes}) == 2 * len(tree.leaves) - 1
    assert not any(node.classes is None for node in tree.nodes[:-1])


def test_an_odd_one_passes_up() -> None:
    tree = balanced_tree(["a", "b", "c", "d", "e"])
    pairs = {node.name: node.children for node in tree.nodes if node.children}
    assert pairs == {"a+b": ("a", "b"), "c+d": ("c", "d"), "a+3 more": ("a+b", "c+d"), "root": ("a+3 more", "e")}
    assert tree.root.level == 3
    assert tree["e"].level == 0


def test_the_celeba_tree_of_the_paper() -> None:
    tree = parse_tree(CELEBA)
    assert len(tree.nodes) == 31
    assert tree.root.level == 4
    assert tree["x"].leaves == tuple(CELEBA["tree"][:8])
    assert tree["g"].classes == ("nose", "skin")
    assert (tree.root.name, tree.root.children, tree.root.classes) == ("final", ("x", "y"), None)
    assert parse_tree(tree.to_dict()) == tree


def test_lists_in_lists_are_kept_together() -> None:
    tree = parse_tree({"tree": ["a", ["b", ["c", "d"]]]})
    assert {node.name: node.children for node in tree.nodes if node.children} == {
        "c+d": ("c", "d"),
        "b+2 more": ("b", "c+d"),
        "root": ("a", "b+2 more"),
    }
    assert [tree[name].level for name in ("a", "c+d", "b+2 more", "root")] == [0, 1, 2, 3]
    assert parse_tree({"tree": [[["a", "b"]]]}) == parse_tree({"tree": ["a", "b"]})


def test_names_fit_a_pair_in_either_order() -> None:
    tree = parse_tree({"tree": [["a", "b"], "c"], "names": {"ab": ["b", "a"], "whole": ["ab", "c"]}})
    assert tree["ab"].children == ("a", "b")
    assert tree.root.name == "whole"


def test_a_leaf_may_unite_classes() -> None:
    tree = parse_tree({"tree": [["eyes", "nose"], "hair"], "leaves": {"eyes": ["l_eye", "r_eye"]}})
    assert tree["eyes"].classes == ("l_eye", "r_eye")
    assert tree["eyes+nose"].classes == ("l_eye", "r_eye", "nose")
    assert tree["eyes+nose"].leaves == ("eyes", "nose")


def test_class_ids_are_those_of_the_store_in_order() -> None:
    tree = parse_tree({"tree": [["eyes", "nose"], "hair"], "leaves": {"eyes": ["l_eye", "r_eye"]}})
    classes = {0: "ground", 4: "r_eye", 2: "nose", 9: "l_eye", 3: "hair"}
    assert tree["eyes"].class_ids(classes) == (4, 9)
    assert tree["eyes+nose"].class_ids(classes) == (2, 4, 9)
    assert tree.root.class_ids(classes) is None


def test_a_store_without_a_class_of_the_tree_is_named() -> None:
    tree = parse_tree({"tree": ["eyes", "nose"], "leaves": {"eyes": ["l_eye", "r_eye"]}})
    tree.check(["nose", "l_eye", "r_eye", "more"])
    with pytest.raises(InputError, match=r"leaf 'eyes' names the segment 'r_eye', which .* it has: l_eye, nose$"):
        tree.check(["nose", "l_eye"])


def test_a_node_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"the tree has no node 'hat'; it has: a, b, root"):
        balanced_tree(["a", "b"])["hat"]


WRONG = [
    ({}, r"needs a key `tree:` with nested lists"),
    (["a", "b"], r"needs a key `tree:`"),
    (None, r"needs a key `tree:`"),
    ({"tree": ["a", "b"], "name": {}}, r"has the unknown key 'name': use tree, names, leaves"),
    ({"tree": ["a", "b"], 1: 2}, r"has the unknown key '1'"),
    ({"tree": []}, r"holds \[\] where a segment name or a list of them belongs"),
    ({"tree": ["a", []]}, r"holds \[\] where"),
    ({"tree": ["a", 7]}, r"holds 7 where"),
    ({"tree": ["a", True]}, r"holds True where"),
    ({"tree": ["a", None]}, r"holds None where"),
    ({"tree": {"a": "b"}}, r"holds \{'a': 'b'\} where"),
    ({"tree": "a"}, r"needs at least two leaves; it has 1"),
    ({"tree": [["a"]]}, r"needs at least two leaves; it has 1"),
    ({"tree": ["a", ["b", "a"]]}, r"has two nodes named 'a': each leaf may occur once"),
    ({"tree": ["a", "b"], "names": {"a": ["a", "b"]}}, r"has two nodes named 'a'"),
    ({"tree": ["root", "b"]}, r"has two nodes named 'root'"),
    ({"tree": ["a", "b"], "names": {"x": ["a", "c"]}}, r"names a node 'x' of a and c, which are no pair in it"),
    ({"tree": [["a", "b"], "c"], "names": {"x": ["b", "c"]}}, r"names a node 'x' of b and c, which are no pair"),
    ({"tree": ["a", "b"], "names": {"x": ["a"]}}, r"needs under `names:` two children for each node, such as"),
    ({"tree": ["a", "b"], "names": {"x": "ab"}}, r"needs under `names:` two children"),
    ({"tree": ["a", "b"], "names": {"x": ["a", 1]}}, r"needs under `names:` two children"),
    ({"tree": ["a", "b"], "names": ["x"]}, r"needs under `names:` two children"),
    ({"tree": ["a", "b"], "names": {"x": ["a", "b"], "y": ["b", "a"]}}, r"'[xy]'.*'[xy]'|two names"),
    ({"tree": ["a", "b"], "leaves": {"c": ["d"]}}, r"unites classes to a leaf 'c' that does not occur under `tree:`"),
    ({"tree": ["a", "b"], "leaves": {"a": []}}, r"needs under `leaves:` a list of class names for each leaf"),
    ({"tree": ["a", "b"], "leaves": {"a": "b"}}, r"needs under `leaves:` a list"),
    ({"tree": ["a", "b"], "leaves": {"a": [1]}}, r"needs under `leaves:` a list"),
    ({"tree": ["a", "b"], "leaves": ["a"]}, r"needs under `leaves:` a list"),
    ({"tree": ["a", "b"], "leaves": {"a": ["b"]}}, r"has the class 'b' in two leaves: each pixel belongs to one leaf"),
    ({"tree": ["a", "b"], "leaves": {"a": ["c", "c"]}}, r"has the class 'c' in two leaves|'c' twice"),
]


@pytest.mark.parametrize(("description", "message"), WRONG)
def test_what_is_no_tree_is_named(description: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^my tree .*({message})"):
        parse_tree(description, where="my tree")


def test_fewer_than_two_leaves_make_no_tree() -> None:
    for few in ([], ["a"]):
        with pytest.raises(InputError, match=r"^the balanced tree"):
            balanced_tree(few)


def test_a_tree_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tree.yaml"
    path.write_text("tree: [[skin, nose], hair]\nnames:\n  face: [skin, nose]\n", encoding="utf-8")
    assert [node.name for node in load_tree(path).nodes] == ["skin", "nose", "face", "hair", "root"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tree: [a, b", r"the tree file tree|the tree file .*tree\.yaml is not YAML: .*expected"),
        ("tree: !!python/object/apply:os.getcwd []", r"is not YAML: could not determine a constructor"),
        ("tree: [a, yes]", r"the tree file tree\.yaml holds True where"),
        ("", r"the tree file tree\.yaml needs a key `tree:`"),
        ("tree: " + "[" * 3000 + "a, b" + "]" * 3000, r"tree\.yaml"),
        ("tree: &all [*all, b]", r"tree\.yaml"),
    ],
)
def test_a_file_without_a_tree_is_named_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tree.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        load_tree(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the tree file .*nowhere\.yaml cannot be read"):
        load_tree(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"tree: [\xe9, b]")
    with pytest.raises(InputError, match=r"latin\.yaml cannot be read"):
        load_tree(tmp_path / "latin.yaml")
