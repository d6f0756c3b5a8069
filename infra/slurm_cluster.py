"""A Dask cluster whose workers are Slurm jobs of two kinds: with a GPU each, and without."""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from dask_jobqueue.slurm import SLURMJob
from distributed import Scheduler, Security, SpecCluster
from distributed.core import Status
from tornado.ioloop import PeriodicCallback

from infra.cluster_file import SlurmFile, offers
from infra.dask_tls import write_certificate
from infra.settings import Settings
from infra.worker_environment import WORKER_ENVIRONMENT
from tasks.errors import InputError, reason_of

ASK_AGAIN = 30.0
"""Seconds between two looks for jobs that ended: by their time limit, or because others went before."""

NO_PAGES = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
"""What a worker tells over HTTP is for its own machine."""

logger = logging.getLogger(__name__)


class _Job(SLURMJob):
    """A job that Slurm refused counts as failed, or `SpecCluster` does not close."""

    async def start(self) -> None:
        try:
            await super().start()  # type: ignore[no-untyped-call]  # dask-jobqueue has types in part only
        except BaseException:
            self.status = Status.failed
            raise


class SlurmCluster(SpecCluster):
    """The scheduler in this process, the workers as jobs. dask-jobqueue's own cluster has jobs of one kind only."""

    def __init__(self, file: SlurmFile, settings: Settings) -> None:
        """Start the scheduler and submit the jobs.

        Args:
            file: what the jobs are to be.
            settings: whose home takes the jobs' logs and the connections' key.

        Raises:
            InputError: this machine lacks Slurm's commands or the network interface, or Slurm refuses a job.
        """
        if shutil.which(SLURMJob.submit_command) is None:
            raise InputError(
                f"engine cluster with kind slurm needs {SLURMJob.submit_command}, which this machine lacks: start the "
                "flow on a machine from which jobs are submitted"
            )
        logging.getLogger("distributed").setLevel(logging.ERROR)
        # On the home, which the nodes see. Each cluster has its own key, and takes it along.
        self._keys = tempfile.TemporaryDirectory(prefix="dask-tls-", dir=settings.home)
        security = write_certificate(Path(self._keys.name))
        scheduler = {
            "interface": file.interface,
            "protocol": "tls://",
            "security": security,
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",
        }
        try:
            super().__init__(  # type: ignore[no-untyped-call]  # distributed has types in part only
                scheduler={"cls": Scheduler, "options": scheduler},
                workers=slurm_jobs(file, settings.logs / "slurm", security),
                security=security,
                silence_logs=logging.ERROR,
                name="heml",
            )
        except (RuntimeError, ValueError) as error:
            self._keys.cleanup()
            raise InputError(f"Slurm starts no workers: {reason_of(error)}") from error
        self._watch = PeriodicCallback(self._ask_again, ASK_AGAIN * 1000)
        assert self.loop is not None
        self.loop.add_callback(self._watch.start)

    async def _ask_again(self) -> None:
        for name, job in list(self.workers.items()):
            if job.status is Status.failed:
                del self.workers[name]
        try:
            await self._correct_state()  # type: ignore[no-untyped-call]  # as above
        except RuntimeError as error:
            logger.warning("Slurm gives no new worker for one that ended: %s", reason_of(error))

    async def _close(self) -> None:
        # Also called by a start that failed, before there is a watch.
        if watch := getattr(self, "_watch", None):
            watch.stop()
        await super()._close()  # type: ignore[no-untyped-call]  # as above
        self._keys.cleanup()


def slurm_jobs(file: SlurmFile, logs: Path, security: Security) -> dict[str, dict[str, Any]]:
    """Each worker's job by the worker's name, as `SpecCluster` takes them.

    Args:
        file: what the jobs are to be.
        logs: folder for their output.
        security: of their connections; names files that the nodes see.
    """
    jobs = {}
    for kind, offered in offers(file).items():
        group = file.cpu if kind == "cpu" else file.cuda
        assert group is not None
        resources = " ".join(f"{name}={amount:g}" for name, amount in offered.items())
        options = {
            "cores": group.tasks,  # Dask's threads; what the job is given is job_cpu
            "job_cpu": group.cores,
            "memory": str(group.bytes),
            "processes": 1,
            "queue": group.partition,
            "account": group.account,
            "walltime": group.walltime,
            "job_name": f"heml-{kind}",
            "job_extra_directives": [*([file.gpu] if kind == "cuda" else []), *group.directives],
            "job_script_prologue": [*(f"export {k}={v}" for k, v in WORKER_ENVIRONMENT.items()), *file.prologue],
            # Slurm minds the memory. Dask would count the decoded images, which are mapped, and stop the worker.
            "worker_extra_args": ["--resources", f'"{resources}"', "--memory-limit", "0", *NO_PAGES],
            "log_directory": str(logs),
            "python": file.python,
            "interface": file.interface,
            "protocol": "tls://",
            "security": security,
        }
        for number in range(group.count):
            jobs[f"heml-{kind}-{number}"] = {"cls": _Job, "options": options}
    return jobs
