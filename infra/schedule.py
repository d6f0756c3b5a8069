"""When tasks that wait for each other can be done by a number of workers: a schedule, and a bound below all schedules.

The tasks are a tree's nodes, or any tasks that wait for others. Which worker takes a task does not matter here, nor
what it costs to hand one out: what a real run takes longer than the schedule is the engine's.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


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
    chain, followers = chains(seconds, waits_for), _followers(seconds, waits_for)
    order = {name: number for number, name in enumerate(seconds)}
    left = {name: len(waits_for.get(name, ())) for name in seconds}
    ready = [(-chain[name], order[name], name) for name in seconds if not left[name]]
    heapq.heapify(ready)
    running: list[tuple[float, int, str]] = []
    starts: dict[str, float] = {}
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, number, name = heapq.heappop(ready)
            starts[name] = now
            heapq.heappush(running, (now + seconds[name], number, name))
        now, _, done = heapq.heappop(running)
        for name in followers[done]:
            left[name] -= 1
            if not left[name]:
                heapq.heappush(ready, (-chain[name], order[name], name))
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
    followers = _followers(seconds, waits_for)
    followed = {name: len(after) for name, after in followers.items()}
    found: dict[str, float] = {}
    last = [name for name, count in followed.items() if not count]
    while last:
        name = last.pop()
        found[name] = seconds[name] + max((found[after] for after in followers[name]), default=0.0)
        for before in waits_for.get(name, ()):
            followed[before] -= 1
            if not followed[before]:
                last.append(before)
    if circle := set(seconds) - set(found):
        raise ValueError(f"some of these tasks wait for each other in a circle: {', '.join(sorted(circle))}")
    return found


def _followers(seconds: Mapping[str, float], waits_for: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Who waits for each task."""
    followers: dict[str, list[str]] = {name: [] for name in seconds}
    for name, before in waits_for.items():
        for one in (name, *before):
            if one not in seconds:
                raise ValueError(f"every task needs a time; got none for {one!r}")
        for one in before:
            followers[one].append(name)
    if short := [name for name, value in seconds.items() if not value >= 0]:
        raise ValueError(f"a task takes 0 seconds or more; got {seconds[short[0]]} for {short[0]!r}")
    return followers
