"""The jobs that a cluster file becomes, read line by line as Slurm would."""

import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from dask_jobqueue.slurm import SLURMJob
from distributed import Security

from infra.cluster_file import SlurmFile, read_cluster_file
from infra.dask_tls import write_certificate
from infra.settings import load_settings
from infra.slurm_cluster import SlurmCluster, slurm_jobs
from tasks.errors import InputError

EXAMPLE = Path(__file__).parents[2] / "infra" / "clusters" / "slurm.yaml"
SCHEDULER = "tls://10.0.0.1:8786"


def example(tmp_path: Path, **change: str) -> SlurmFile:
    text = EXAMPLE.read_text()
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    file = read_cluster_file(path)
    assert isinstance(file, SlurmFile)
    return file


def script(file: SlurmFile, tmp_path: Path, name: str, security: Security) -> tuple[list[str], list[str], list[str]]:
    """Of a worker's job: what Slurm is told, the shell's lines, and the worker's command line in words."""
    job = slurm_jobs(file, tmp_path / "logs", security)[name]
    lines = job["cls"](SCHEDULER, name=name, **job["options"]).job_script().splitlines()
    assert lines[0].startswith("#!/")
    told = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
    rest = [line for line in lines if line and not line.startswith("#")]
    return told, rest[:-1], shlex.split(rest[-1])


def last(words: list[str], option: str) -> str:
    """The value that counts where an option is given more than once."""
    return [after for word, after in pairwise(words) if word == option][-1]


@pytest.fixture
def security(tmp_path: Path) -> Security:
    return write_certificate(tmp_path / "keys")


def test_there_are_jobs_of_two_kinds(tmp_path: Path, security: Security) -> None:
    jobs = slurm_jobs(example(tmp_path), tmp_path, security)
    assert list(jobs) == ["heml-cpu-0", *(f"heml-cuda-{number}" for number in range(4))]
    assert all(issubclass(job["cls"], SLURMJob) for job in jobs.values())


def test_a_job_with_a_gpu_asks_for_one_and_offers_it(tmp_path: Path, security: Security) -> None:
    told, before, command = script(example(tmp_path), tmp_path, "heml-cuda-3", security)
    assert {"-J heml-cuda", "-p gpu", "-n 1", "--cpus-per-task=8", "--mem=32G", "-t 24:00:00", "--gres=gpu:1"} <= {
        *told
    }
    assert f"-o {tmp_path}/logs/heml-cuda-%J.out" in told
    assert before == ["export MALLOC_TRIM_THRESHOLD_=134217728", "export MALLOC_MMAP_THRESHOLD_=33554432"]
    assert command[1:4] == ["-m", "distributed.cli.dask_worker", SCHEDULER]
    assert last(command, "--resources") == "CUDA=1"
    assert last(command, "--nthreads") == "4"
    assert last(command, "--name") == "heml-cuda-3"
    assert last(command, "--memory-limit") == "0"
    assert last(command, "--interface") == "eth0"
    assert last(command, "--dashboard-address") == "127.0.0.1:0"


def test_a_job_without_one_asks_for_none(tmp_path: Path, security: Security) -> None:
    told, _, command = script(example(tmp_path), tmp_path, "heml-cpu-0", security)
    assert {"-J heml-cpu", "-p cpu", "--cpus-per-task=4", "--mem=16G"} <= {*told}
    assert not [line for line in told if "gpu" in line]
    assert last(command, "--resources") == "CPU=2"
    assert last(command, "--nthreads") == "2"


def test_the_workers_show_the_certificate(tmp_path: Path, security: Security) -> None:
    _, _, command = script(example(tmp_path), tmp_path, "heml-cpu-0", security)
    assert last(command, "--protocol") == "tls://"
    for option in ("--tls-ca-file", "--tls-cert", "--tls-key"):
        assert Path(last(command, option)).parent == tmp_path / "keys"


def test_a_site_has_its_own_words(tmp_path: Path, security: Security) -> None:
    change = {
        "gpu: --gres=gpu:1 ": "gpu: --gpus=a100:1",
        "partition: gpu": "partition: gpu\n  account: lab\n  directives: [--qos=high, --requeue]",
        "prologue: []": 'prologue: ["module load cuda"]\npython: /shared/heml/bin/python',
    }
    told, before, command = script(example(tmp_path, **change), tmp_path, "heml-cuda-0", security)
    assert told[-3:] == ["--gpus=a100:1", "--qos=high", "--requeue"]
    assert "-A lab" in told
    assert before[-1] == "module load cuda"
    assert command[0] == "/shared/heml/bin/python"


def test_a_machine_without_slurm_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="engine cluster with kind slurm needs sbatch, which this machine lacks"):
        SlurmCluster(example(tmp_path), load_settings(home=tmp_path, device="cpu"))


@pytest.mark.parametrize(
    ("sbatch", "interface", "message"),
    [
        (
            'echo "sbatch: error: invalid partition specified: gpu" >&2; exit 1',
            "lo",
            "invalid partition specified: gpu",
        ),
        ("echo done", "lo", "Could not parse job id"),
        ("echo Submitted batch job 1", "eth77", "'eth77' is not a valid network interface"),
    ],
)
def test_what_slurm_or_the_network_refuses_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sbatch: str, interface: str, message: str
) -> None:
    for name, body in {"sbatch": sbatch, "scancel": "true"}.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    file = example(tmp_path, **{"eth0 ": f"{interface} "})
    with pytest.raises(InputError, match=f"Slurm starts no workers: .*{message}") as caught:
        SlurmCluster(file, load_settings(home=tmp_path, device="cpu"))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("dask-tls-*"))
