from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from tasks.explanation.tree_layout import Place, tree_layout


def test_three_nodes_by_hand() -> None:
    assert tree_layout({"hair": (), "nose": (), "face": ("hair", "nose")}) == {
        "hair": Place(0, 1),
        "nose": Place(1, 1),
        "face": Place(0.5, 0),
    }


def test_an_odd_leaf_stays_in_the_last_row() -> None:
    # ((a b) (c d)) e: the fifth leaf passes up two levels.
    children = {"a": (), "b": (), "ab": ("a", "b"), "c": (), "d": (), "cd": ("c", "d")}
    children |= {"abcd": ("ab", "cd"), "e": (), "all": ("abcd", "e")}
    assert tree_layout(children) == {
        "a": Place(0, 3),
        "b": Place(1, 3),
        "c": Place(2, 3),
        "d": Place(3, 3),
        "e": Place(4, 3),
        "ab": Place(0.5, 2),
        "cd": Place(2.5, 2),
        "abcd": Place(1.5, 1),
        "all": Place(2.75, 0),
    }


def test_one_node_is_a_tree() -> None:
    assert tree_layout({"alone": ()}) == {"alone": Place(0, 0)}


def test_a_very_deep_tree_needs_no_deep_stack() -> None:
    children: dict[str, tuple[str, ...]] = {"0": ()}
    for i in range(1, 3000):
        children |= {f"leaf {i}": (), str(i): (str(i - 1), f"leaf {i}")}
    assert tree_layout(children)["0"] == Place(0, 2999)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Any binary tree: neighbours joined in any order."""
    row = [str(i) for i in range(draw(st.integers(1, 12)))]
    children: dict[str, tuple[str, ...]] = dict.fromkeys(row, ())
    while len(row) > 1:
        at = draw(st.integers(0, len(row) - 2))
        joined = f"({row[at]} {row[at + 1]})"
        children[joined] = (row[at], row[at + 1])
        row[at : at + 2] = [joined]
    return children


@given(trees())
def test_cards_and_the_lines_past_them_never_touch(children: dict[str, tuple[str, ...]]) -> None:
    places = tree_layout(children)
    # The promise: leaves up to one spacing wide, inner nodes up to two.
    half = {name: 1.0 if below else 0.5 for name, below in children.items()}
    for a, b in combinations(children, 2):
        if places[a].y == places[b].y:
            assert abs(places[a].x - places[b].x) >= half[a] + half[b] - 1e-9
    for name, below in children.items():
        for child in below:
            for other, place in places.items():
                if places[name].y < place.y < places[child].y:
                    assert abs(places[child].x - place.x) >= half[other] - 1e-9
