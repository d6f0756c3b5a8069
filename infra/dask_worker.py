"""Preloaded by the workers of a local cluster: they end at once and without a word."""

import atexit
import logging
import os
import sys


def dask_setup(_worker: object) -> None:
    """Called by Dask in the worker's process, before its first task."""
    # What goes wrong in a task, Prefect reports. The rest is about connections that close while the cluster closes.
    logging.getLogger("distributed.worker").setLevel(logging.CRITICAL)
    # Registered first, so run last: Prefect's queues are sent by then. Taking torch's modules apart, which Python would
    # do next, takes longer than the time after which Dask kills a worker.
    atexit.register(_end)


def _end() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
