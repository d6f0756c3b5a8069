"""Keeps servers running: what ends without being told to is started again, as systemd or Kubernetes would."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from infra import processes

PATIENCE = 5
"""Ends of one component within ``WINDOW`` seconds after which it is given up: starting it again does not help."""
WINDOW = 120.0
LONGEST_PAUSE = 10.0


@dataclass(frozen=True)
class Component:
    """A server that is to run all the time.

    Attributes:
        start: starts it and returns at once; called again, it has to listen where it did before.
        ready: called once it answers, after each start.
    """

    start: Callable[[], processes.Server]
    ready: Callable[[processes.Server], object] = lambda server: None


@dataclass
class Supervisor:
    """Components in the order of their start; stopped in the opposite one."""

    say: Callable[[str], object]
    """Told of each end and each new start, a line each."""
    _running: list[tuple[Component, processes.Server]] = field(default_factory=list)
    _ends: dict[str, list[float]] = field(default_factory=dict)

    def start(self, component: Component) -> processes.Server:
        """Start a component and wait until it answers.

        Raises:
            ServerError: it died or did not answer within 120 s.
        """
        return self.start_all([component])[0]

    def start_all(self, components: list[Component]) -> list[processes.Server]:
        """Start components that do not need one another side by side, and wait until all answer.

        Raises:
            ServerError: one died or did not answer within 120 s.
        """
        begun = []
        for component in components:
            begun.append((component, component.start()))
            self._running.append(begun[-1])
        for component, server in begun:
            processes.wait_until_healthy(server)
            component.ready(server)
        return [server for _, server in begun]

    def watch(self, poll: float = 0.5) -> None:
        """Start again what ended, until Ctrl-C.

        Args:
            poll: seconds between two looks.

        Raises:
            ServerError: a component ended 5 times within 120 s.
        """
        with suppress(KeyboardInterrupt):
            while True:
                for place in range(len(self._running)):
                    self._revive(place)
                time.sleep(poll)

    def stop(self) -> None:
        """Stop everything, the last started first."""
        while self._running:
            processes.stop(self._running.pop()[1])

    def _revive(self, place: int) -> None:
        component, server = self._running[place]
        if (code := server.process.poll()) is None:
            return
        now = time.monotonic()
        ends = [end for end in self._ends.get(server.name, []) if now - end < WINDOW] + [now]
        self._ends[server.name] = ends
        if len(ends) >= PATIENCE:
            raise processes.ServerError(
                f"the {server.name} ended {len(ends)} times within {WINDOW:.0f} s, the last time with code {code}. "
                f"{processes.log_tail(server.log)}"
            )
        self.say(f"the {server.name} ended with code {code}; it is started again, its log so far is {_kept(server)}")
        processes.stop(server)  # what it left behind of its process group
        time.sleep(min(LONGEST_PAUSE, 0.5 * 2 ** (len(ends) - 1)) if len(ends) > 1 else 0.0)
        again = component.start()
        self._running[place] = (component, again)
        try:
            processes.wait_until_healthy(again)
            component.ready(again)
        except processes.ServerError:
            processes.stop(again)  # the next look finds it ended, and counts


def _kept(server: processes.Server) -> str:
    """The log under another name: a start begins it anew."""
    kept = server.log.with_suffix(f".{time.time_ns()}.log")
    with suppress(OSError):
        server.log.replace(kept)
    return str(kept)
