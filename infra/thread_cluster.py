"""A Dask cluster of threads in this process: for trying out how tasks are shared out, not for computing."""

import logging

import dask.config
from distributed import Scheduler, SpecCluster, Worker

from infra import processes
from infra.runners import SCHEDULING


def thread_cluster(workers: int) -> SpecCluster:
    """So many workers of one thread each, on loopback. Tasks that only wait cost next to nothing, so many fit."""
    common = {"host": processes.LOOPBACK, "dashboard": False}
    scheduler = {**common, "port": 0, "dashboard_address": f"{processes.LOOPBACK}:0"}
    worker = {**common, "nthreads": 1, "memory_limit": 0, "silence_logs": logging.ERROR}
    with dask.config.set(SCHEDULING):
        return SpecCluster(  # type: ignore[no-untyped-call]  # distributed has types in part only
            scheduler={"cls": Scheduler, "options": scheduler},
            workers={number: {"cls": Worker, "options": worker} for number in range(workers)},
            silence_logs=logging.ERROR,
        )
