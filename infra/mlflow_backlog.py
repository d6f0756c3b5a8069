"""What is on its way to MLflow: delivered in order, kept while no server answers, given up only where it is refused."""

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable

import infra.mlflow_environment  # noqa: F401 (for its effect, which has to come before MLflow)

# isort: split
import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from tasks.errors import reason_of

SLOW = 1.0
PAUSE = 30.0
"""After a failure that took ``SLOW`` seconds, nothing is tried for ``PAUSE`` seconds: a server that is gone must not
slow a training down."""
LOCKED_PATIENCE = 60.0
"""Seconds of new tries while other processes hold SQLite's lock, on top of MLflow's own 20 s a try."""
AGAIN = 5.0
"""Seconds between two tries while nothing is added."""
LONGEST = 20_000
"""Calls that are kept; beyond, the oldest is given up."""

FAILURES = (MlflowException, SQLAlchemyError, requests.RequestException, OSError)
_STATUS = re.compile(r"API request to .* failed with error code (\d+)")

logger = logging.getLogger(__name__)


class Backlog:
    """Calls to MLflow in the order in which they were made. May be used by several threads.

    Attributes:
        uri: of MLflow, for messages.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._waiting: deque[tuple[Callable[[], object], str]] = deque()
        self._refused = 0
        self._said = False
        self._silent_until = 0.0
        self._delivering = threading.Lock()
        self._postman: threading.Thread | None = None

    @property
    def missing(self) -> int:
        """Calls that were refused, and those that wait."""
        return self._refused + len(self._waiting)

    def add(self, call: Callable[[], object], what: str) -> None:
        """Make a call, after those that wait; it waits itself while no server answers. Never raises.

        Args:
            call: does it; raises one of ``FAILURES`` if it could not.
            what: it brings, for the one warning that says that something is missing.
        """
        with self._delivering:
            self._waiting.append((call, what))
            if len(self._waiting) > LONGEST:
                self._waiting.popleft()
                self._refused += 1
            self._deliver_waiting()
            if self._waiting and self._postman is None:
                self._postman = threading.Thread(target=self._keep_trying, daemon=True)
                self._postman.start()

    def try_again(self) -> None:
        """Let the next call be tried even if the last one failed a moment ago."""
        self._silent_until = 0.0

    def settle(self, patience: float) -> bool:
        """Whether nothing waits any more, after up to ``patience`` seconds of new tries."""
        deadline = time.monotonic() + patience
        while self._waiting and time.monotonic() < deadline:
            time.sleep(min(0.5, patience))
            with self._delivering:
                self.try_again()
                self._deliver_waiting()
        return not self._waiting

    def _keep_trying(self) -> None:
        """Deliver what waits, also where nothing is added any more."""
        while True:
            time.sleep(AGAIN)
            with self._delivering:
                self._deliver_waiting()
                if not self._waiting:
                    self._postman = None
                    return

    def _deliver_waiting(self) -> None:
        while self._waiting and time.monotonic() >= self._silent_until:
            if not self._deliver(*self._waiting[0]):
                return
            self._waiting.popleft()

    def _deliver(self, call: Callable[[], object], what: str) -> bool:
        """Make a call. False if it has to wait for a server."""
        began = time.monotonic()
        try:
            _patiently(call)
        except FAILURES as error:
            if not self._said:
                self._said = True
                logger.warning(
                    "MLflow at %s lacks %s, and maybe more; the training goes on. %s", self.uri, what, reason_of(error)
                )
            if is_outage(error):
                if time.monotonic() - began > SLOW:
                    self._silent_until = time.monotonic() + PAUSE
                return False
            self._refused += 1
        return True


def is_outage(error: BaseException) -> bool:
    """Whether MLflow's server is not there or has lost its database, so that the same call may succeed later."""
    if isinstance(error, requests.HTTPError):
        return error.response is None or error.response.status_code >= 500
    if isinstance(error, requests.RequestException):
        return True
    if found := _STATUS.search(str(error)):
        return int(found[1]) >= 500
    is_server = getattr(error, "error_code", "") in {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"}
    return isinstance(error, MlflowException) and (is_server or "API request to" in str(error))


def _patiently(call: Callable[[], object]) -> None:
    """Call again while other processes hold SQLite's lock: a transaction that failed so has left nothing behind."""
    deadline, wait = time.monotonic() + LOCKED_PATIENCE, 0.05
    while True:
        try:
            call()
        except (MlflowException, SQLAlchemyError) as error:
            if "database is locked" not in str(error) or time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(wait)
        wait = min(2 * wait, 2.0)
