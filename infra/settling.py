"""Before a Prefect server is stopped: let it record how the task runs ended."""

import json
import logging
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from infra import processes

RECORD_EVERY = 0.2
"""Seconds between two writes of the server's task-run recorder."""

_UNFINISHED = {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}}}


def settle(url: str, since: datetime, timeout: float = 10.0) -> None:
    """Wait until the server has recorded how the task runs of this process ended; call it before stopping the server.

    States of task runs reach Prefect's database as events, through queues on both sides. A server stopped right after
    the flow has most of its tasks down as running, for ever.

    Args:
        url: the API's address.
        since: flow runs that began earlier are not waited for.
        timeout: seconds, after which a task run that is still open (its worker was killed) is left as it is.
    """
    handlers, worker = sys.modules.get("prefect.logging.handlers"), sys.modules.get("prefect.events.worker")
    if handlers is None or worker is None:
        return
    # Left alone, these threads would try to send what they hold later, and complain that nobody answers. That they
    # are still at it is no news here.
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)
    handlers.APILogWorker.drain_all(timeout=timeout)
    worker.EventsWorker.drain_all(timeout=timeout)
    deadline = time.monotonic() + timeout
    seen, same = (-1, -1), 0
    with suppress(OSError, ValueError):
        while time.monotonic() < deadline:
            known, unfinished = _count_task_runs(url, since, {}), _count_task_runs(url, since, _UNFINISHED)
            same = same + 1 if (known, unfinished) == seen else 0
            # What waited for a task that failed stays pending for good.
            if same >= (5 if unfinished else 1):
                return
            seen = (known, unfinished)
            time.sleep(2 * RECORD_EVERY)


def _count_task_runs(url: str, since: datetime, filters: Mapping[str, Any]) -> int:
    wanted = {"flow_runs": {"start_time": {"after_": since.isoformat()}}, "task_runs": filters}
    request = urllib.request.Request(
        f"{url}/task_runs/count", data=json.dumps(wanted).encode(), headers={"Content-Type": "application/json"}
    )
    with processes.opener(url).open(request, timeout=5) as response:
        return int(json.load(response))
