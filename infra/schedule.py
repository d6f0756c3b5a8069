"""When tasks that wait for each other can be done by a number of workers: a schedule, and a bound below all schedules.

The tasks are a tree's nodes, or any tasks that wait for others. Which worker takes a task does not matter here, nor
what it costs to hand one out: what a real run takes longer than the schedule is the engine's.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When each task starts.

    Attributes:
        starts: task to its start, seconds from the first one's.
        seconds: from the first start to the last end.
    """

    starts: dict[str, float]
    seconds: float


def list_schedule(seconds: Mapping[str, float], waits_for: Mapping[str, Sequence[str]], workers: int) -> Schedule:
    """Whenever a worker is free, it takes the ready task that the longest chain of tasks waits for.

    No schedule is shorter than `shortest`; for tasks of equal length that each one other waits for, such as the nodes
    of a tree, none is shorter than this one (Hu 1961).

    Args:
        seconds: task to how long it takes, >= 0.
        waits_for: task to those that have to be done before; a task that is not named waits for none.
        workers: >= 1, all alike, a task at a time each.

    Raises:
        ValueError: there is no worker, a time is negative, a task waits for one that is not there, or they wait for
            each other in a circle.
    """
    if workers < 1:
        raise ValueError(f"a schedule needs at least one worker; got {workers}")
    chain, sorter = chains(seconds, waits_for), _sorter(seconds, waits_for)
    order = {name: number for number, name in enumerate(seconds)}
    sorter.prepare()
    ready: list[tuple[float, int, str]] = []
    running: list[tuple[float, int, str]] = []
    starts: dict[str, float] = {}
    now = 0.0
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, (-chain[name], order[name], name))
        while ready and len(running) < workers:
            _, number, name = heapq.heappop(ready)
            starts[name] = now
            heapq.heappush(running, (now + seconds[name], number, name))
        now, _, done = heapq.heappop(running)
        sorter.done(done)
    return Schedule(starts=starts, seconds=now)


def longest_chain(seconds: Mapping[str, float], waits_for: Mapping[str, Sequence[str]]) -> float:
    """The critical path, seconds: what no number of workers can shorten.

    Args, Raises: as `list_schedule`.
    """
    return max(chains(seconds, waits_for).values(), default=0.0)


def shortest(seconds: Mapping[str, float], waits_for: Mapping[str, Sequence[str]], workers: int) -> float:
    """No schedule takes less: the longest chain, or all the work shared out evenly, whichever is longer; seconds.

    Args, Raises: as `list_schedule`.
    """
    if workers < 1:
        raise ValueError(f"a schedule needs at least one worker; got {workers}")
    return max(longest_chain(seconds, waits_for), sum(seconds.values()) / workers)


def chains(seconds: Mapping[str, float], waits_for: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Each task's longest chain: seconds from its start to the end of the last task that waits for it, at best.

    Args, Raises: as `list_schedule`.
    """
    try:
        order = [*_sorter(seconds, waits_for).static_order()]
    except CycleError as error:
        circle = ", ".join(sorted(set(error.args[1])))
        raise ValueError(f"these tasks wait for each other in a circle: {circle}") from error
    found = dict(seconds)
    for name in reversed(order):
        for before in waits_for.get(name, ()):
            found[before] = max(found[before], seconds[before] + found[name])
    return found


def _sorter(seconds: Mapping[str, float], waits_for: Mapping[str, Sequence[str]]) -> TopologicalSorter[str]:
    """All tasks, each after those that it waits for."""
    for name, before in waits_for.items():
        for one in (name, *before):
            if one not in seconds:
                raise ValueError(f"every task needs a time; got none for {one!r}")
    if short := [name for name, value in seconds.items() if not value >= 0]:
        raise ValueError(f"a task takes 0 seconds or more; got {seconds[short[0]]} for {short[0]!r}")
    return TopologicalSorter({name: waits_for.get(name, ()) for name in seconds})
