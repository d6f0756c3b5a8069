"""Schedules of tasks on workers, against answers worked out by hand, in closed form, and by trying everything."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.schedule import Schedule, chains, list_schedule, longest_chain, shortest

# The leaves a to d, their pairs e and f, the root g.
TREE = {"e": ("a", "b"), "f": ("c", "d"), "g": ("e", "f")}
EQUAL = dict.fromkeys("abcdefg", 1.0)


def full_tree(levels: int) -> tuple[dict[str, float], dict[str, tuple[str, str]]]:
    """A tree of 2 ** (levels - 1) leaves whose nodes take a second each."""
    seconds = {f"{level}.{place}": 1.0 for level in range(levels) for place in range(2**level)}
    waits_for = {
        f"{level}.{place}": (f"{level + 1}.{2 * place}", f"{level + 1}.{2 * place + 1}")
        for level in range(levels - 1)
        for place in range(2**level)
    }
    return seconds, waits_for


def check(made: Schedule, seconds: Mapping[str, float], waits_for: Mapping[str, Sequence[str]], workers: int) -> None:
    """It is a schedule: nothing starts before what it waits for is done, nor do more run than there are workers."""
    ends = {name: start + seconds[name] for name, start in made.starts.items()}
    assert made.starts.keys() == seconds.keys()
    assert made.seconds == max(ends.values())
    for name, before in waits_for.items():
        assert all(ends[one] <= made.starts[name] for one in before)
    for moment in made.starts.values():
        assert sum(start <= moment < ends[name] for name, start in made.starts.items()) <= workers


@pytest.mark.parametrize(("workers", "takes"), [(1, 7), (2, 4), (3, 4), (4, 3), (64, 3)])
def test_seven_nodes_of_a_second(workers: int, takes: float) -> None:
    made = list_schedule(EQUAL, TREE, workers)
    check(made, EQUAL, TREE, workers)
    assert made.seconds == takes


def test_the_longest_chain_goes_first() -> None:
    # By hand: with d first, c and a fill the other worker's time; any leaf but d first ends later than 10.
    seconds = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 6.0, "e": 1.0, "f": 2.0, "g": 2.0}
    made = list_schedule(seconds, TREE, 2)
    check(made, seconds, TREE, 2)
    assert made.starts["d"] == 0
    assert made.seconds == longest_chain(seconds, TREE) == shortest(seconds, TREE, 2) == 10


def test_bounds_by_hand() -> None:
    seconds = {**EQUAL, "a": 3.0}
    assert longest_chain(seconds, TREE) == 3 + 1 + 1
    assert shortest(seconds, TREE, 1) == 9
    assert shortest(seconds, TREE, 2) == 5
    assert (longest_chain({}, {}), shortest({}, {}, 3), list_schedule({}, {}, 3).seconds) == (0, 0, 0)


@pytest.mark.parametrize("workers", [1, 2, 4, 8, 16, 64])
def test_a_full_tree_goes_level_by_level(workers: int) -> None:
    # Levels of 16, 8, 4, 2 and 1: powers of two share levels out evenly, or one worker a node is left.
    seconds, waits_for = full_tree(5)
    made = list_schedule(seconds, waits_for, workers)
    check(made, seconds, waits_for, workers)
    assert made.seconds == sum(-(-(2**level) // workers) for level in range(5))


trees = st.recursive(st.just(()), lambda below: st.lists(below, min_size=1, max_size=3).map(tuple), max_leaves=4)


def named(shape: tuple, name: str = "r") -> tuple[list[str], dict[str, tuple[str, ...]]]:  # type: ignore[type-arg]
    """Names of a nested shape's nodes, and each one's children."""
    names, waits_for = [name], {}
    children = tuple(f"{name}{number}" for number in range(len(shape)))
    if children:
        waits_for[name] = children
    for child, below in zip(children, shape, strict=True):
        more, waits = named(below, child)
        names += more
        waits_for |= waits
    return names, waits_for


def fewest_steps(names: Sequence[str], waits_for: Mapping[str, Sequence[str]], workers: int) -> int:
    """For tasks of a second each: every choice of ready tasks, second by second."""
    reached, steps = {frozenset[str]()}, 0
    while frozenset(names) not in reached:
        following = set()
        for done in reached:
            ready = [name for name in names if name not in done and done >= set(waits_for.get(name, ()))]
            for chosen in combinations(ready, min(workers, len(ready))):
                following.add(done | set(chosen))
        reached, steps = following, steps + 1
    return steps


@given(shape=trees, workers=st.integers(1, 3))
def test_of_equal_nodes_no_schedule_is_shorter(shape: tuple, workers: int) -> None:  # type: ignore[type-arg]
    names, waits_for = named(shape)
    made = list_schedule(dict.fromkeys(names, 1.0), waits_for, workers)
    assert made.seconds == fewest_steps(names, waits_for, workers)


@given(shape=trees, workers=st.integers(1, 5), data=st.data())
def test_between_the_bound_and_grahams(shape: tuple, workers: int, data: st.DataObject) -> None:  # type: ignore[type-arg]
    names, waits_for = named(shape)
    seconds = {name: float(data.draw(st.integers(0, 9))) for name in names}
    made = list_schedule(seconds, waits_for, workers)
    check(made, seconds, waits_for, workers)
    least = shortest(seconds, waits_for, workers)
    assert least <= made.seconds <= (2 - 1 / workers) * least + 1e-9  # Graham 1969


@pytest.mark.parametrize(
    ("seconds", "waits_for", "workers", "message"),
    [
        (EQUAL, TREE, 0, "a schedule needs at least one worker; got 0"),
        ({**EQUAL, "c": -1.0}, TREE, 1, "0 seconds or more; got -1.0 for 'c'"),
        ({**EQUAL, "c": float("nan")}, TREE, 1, "0 seconds or more; got nan for 'c'"),
        ({"a": 1.0}, {"a": ("z",)}, 1, "every task needs a time; got none for 'z'"),
        ({"a": 1.0}, {"y": ("a",)}, 1, "every task needs a time; got none for 'y'"),
        ({**EQUAL, "h": 1.0}, {**TREE, "a": ("g",)}, 1, "these tasks wait for each other in a circle: a, e, g$"),
    ],
)
def test_what_cannot_be_scheduled(
    seconds: dict[str, float], waits_for: dict[str, Sequence[str]], workers: int, message: str
) -> None:
    for function in (list_schedule, shortest):
        with pytest.raises(ValueError, match=message):
            function(seconds, waits_for, workers)


def test_chains_by_hand() -> None:
    seconds = {"a": 3.0, "b": 1.0, "c": 0.0, "d": 1.0, "e": 2.0, "f": 1.0, "g": 4.0}
    assert chains(seconds, TREE) == {"a": 9, "b": 7, "c": 5, "d": 6, "e": 6, "f": 5, "g": 4}
