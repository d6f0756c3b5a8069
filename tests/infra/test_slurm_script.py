"""The sbatch script, run as Slurm would: `srun` is a stand-in that runs its command once, on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

SCRIPT = Path(__file__).parents[2] / "infra" / "slurm" / "heml.sbatch"

SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift 2; done
exec "$@"
"""
ASK = """
import json, os, sys
from distributed import Client
client = Client(os.environ["HEML_DASK_ADDRESS"], timeout=10, set_as_default=False)
client.wait_for_workers(3, timeout=60)
seen = client.run(lambda: os.environ.get("CUDA_VISIBLE_DEVICES"))
workers = client.scheduler_info(n_workers=-1)["workers"]
listed = [[worker["resources"], worker["nthreads"], seen[address]] for address, worker in workers.items()]
print("ANSWER", json.dumps({
    "workers": sorted(listed, key=str),
    "environment": {name: os.environ[name] for name in ("HEML_ENGINE", "HEML_DEVICE", "HEML_DASK_ADDRESS")},
}))
sys.exit(7)
"""


def directives() -> dict[str, str]:
    lines = [line.split(maxsplit=2)[1:] for line in SCRIPT.read_text().splitlines() if line.startswith("#SBATCH ")]
    return dict(lines)


def run(tmp_path: Path, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    srun = tmp_path / "srun"
    srun.write_text(SRUN)
    srun.chmod(0o755)
    given = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "HEML_VENV": sys.prefix,
        "HEML_HOME": str(tmp_path / "home"),
        "PREFECT_API_URL": "http://127.0.0.1:1/api",
        "SLURM_JOB_NUM_NODES": "1",
        "CUDA_VISIBLE_DEVICES": "0,1",
        **environment,
    }
    return subprocess.run(
        ["bash", str(SCRIPT), *command],
        env={name: value for name, value in given.items() if value},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_it_asks_for_a_gpu_and_one_task_a_node() -> None:
    assert SCRIPT.read_text().startswith("#!/bin/bash\n")
    asked = directives()
    assert asked["--gpus-per-node"] == "1"
    assert asked["--ntasks-per-node"] == "1"
    assert set(asked) <= {f"--{name}" for name in (
        "job-name", "nodes", "gpus-per-node", "ntasks-per-node", "cpus-per-task", "mem", "time", "output",
    )}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "environment", "message"),
    [
        (["true"], {"PREFECT_API_URL": ""}, "PREFECT_API_URL: is to name a Prefect server that the nodes reach"),
        (["true"], {"HEML_HOME": ""}, "HEML_HOME: is to name a folder that all nodes share"),
        ([], {}, "heml.sbatch: give the command to run"),
    ],
)
def test_what_is_missing_is_said_before_anything_starts(
    tmp_path: Path, command: list[str], environment: dict[str, str], message: str
) -> None:
    done = run(tmp_path, command, **environment)
    assert done.returncode != 0
    assert message in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.server
def test_the_command_finds_a_worker_a_gpu_and_one_without(tmp_path: Path) -> None:
    done = run(tmp_path, ["python", "-c", ASK])
    answers = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    assert answers, done.stderr[-3000:]
    answer = json.loads(answers[0].removeprefix("ANSWER "))
    assert answer["workers"] == [[{"CPU": 2}, 2, ""], [{"CUDA": 1}, 4, "0"], [{"CUDA": 1}, 4, "1"]]
    assert answer["environment"]["HEML_ENGINE"] == "address"
    assert answer["environment"]["HEML_DEVICE"] == "cuda"
    assert answer["environment"]["HEML_DASK_ADDRESS"].startswith("tls://")
    # The command's exit code is the job's, and nothing stays behind.
    assert done.returncode == 7
    assert list((tmp_path / "home").iterdir()) == []
    left = [process.pid for process in psutil.process_iter() if str(tmp_path) in _environment(process)]
    assert left == []


def _environment(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("HEML_HOME", ""))
    except psutil.Error:
        return ""
