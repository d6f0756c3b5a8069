"""What a cluster file may say, and that a wrong one is named in one sentence."""

from pathlib import Path

import pytest

from infra.cluster_file import KubernetesFile, SlurmFile, offers, read_cluster_file
from tasks.errors import InputError

EXAMPLES = Path(__file__).parents[2] / "infra" / "clusters"

GOOD = """
kind: slurm
wait_seconds: 60
interface: eth0
cpu: {count: 2, cores: 4, memory: 16 GiB, tasks: 3, walltime: "24:00:00"}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    return path


def test_the_slurm_example_asks_for_workers_of_both_kinds() -> None:
    file = read_cluster_file(EXAMPLES / "slurm.yaml")
    assert isinstance(file, SlurmFile)
    assert file.cpu is not None
    assert file.cuda is not None
    assert (file.cuda.count, file.cuda.cores, file.cuda.bytes, file.cuda.walltime) == (4, 8, 32 * 1024**3, "24:00:00")
    assert offers(file) == {"cpu": {"CPU": 2.0}, "cuda": {"CUDA": 1.0}}


def test_the_kubernetes_example_asks_for_workers_of_both_kinds() -> None:
    file = read_cluster_file(EXAMPLES / "kubernetes.yaml")
    assert isinstance(file, KubernetesFile)
    assert file.cuda is not None
    assert file.cuda.pod["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert set(offers(file)) == {"cpu", "cuda"}


def test_a_kind_of_workers_may_be_left_out(tmp_path: Path) -> None:
    assert offers(read_cluster_file(write(tmp_path, GOOD))) == {"cpu": {"CPU": 3.0}}
    only_gpus = GOOD.replace("cpu: {", "cuda: {")
    assert offers(read_cluster_file(write(tmp_path, only_gpus))) == {"cuda": {"CUDA": 1.0}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kind: slurm", "kind: pbs"), "needs the field kind, one of slurm, kubernetes; got 'pbs'"),
        (("kind: slurm\n", ""), "needs the field kind, one of slurm, kubernetes; got None"),
        (("kind: slurm", "kind: [slurm]"), r"needs the field kind, .*; got \['slurm'\]"),
        (("interface: eth0\n", ""), "field interface: field required$"),
        (("interface: eth0", "interface: 7"), "field interface: input should be a valid string; got 7"),
        (("wait_seconds: 60", "wait_seconds: 0"), "field wait_seconds: input should be greater than 0; got 0"),
        (("count: 2", "count: 0"), r"field cpu.count: input should be greater than 0; got 0"),
        (("count: 2", "count: many"), r"field cpu.count: input should be a valid integer; got 'many'"),
        (("count: 2", "nodes: 2"), r"field cpu.count: field required$"),
        (("tasks: 3", "tasks: 3, gpus: 1"), r"field cpu.gpus: extra inputs are not permitted; got 1"),
        (("16 GiB", "lots"), r"field cpu.memory: value error, no amount of memory: .*; got 'lots'"),
        (("16 GiB", '"16"'), r"field cpu.memory: value error, no amount of memory: less than a megabyte; give a unit"),
        # Without quotes YAML reads a time as a number, and Slurm reads a number as minutes: thirty days of them.
        (('"24:00:00"', "24:00:00"), r"field cpu.walltime: input should be a valid string; got 86400"),
        (("cpu: {", "gpu: {"), r"field gpu: input should be a valid string"),
        (("cpu: {", "cluster: [}"), r"is not YAML, line 5: see infra/clusters"),
        (("cpu:", "#"), r"asks for no workers: give it the field cpu, cuda, or both"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in GOOD
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(InputError, match=message) as caught:
        read_cluster_file(path)
    assert str(caught.value).startswith(f"the cluster file {path}")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.yaml \(HEML_CLUSTER_FILE\) cannot be read \(No such file"):
        read_cluster_file(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        read_cluster_file(tmp_path)
    (tmp_path / "photo.yaml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match=r"cannot be read \(it is no text\)"):
        read_cluster_file(tmp_path / "photo.yaml")


def test_nothing_in_it_is_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = write(tmp_path, f"kind: !!python/object/apply:pathlib.Path.touch [!!python/object:pathlib.Path {marker}]\n")
    with pytest.raises(InputError, match="is not YAML"):
        read_cluster_file(path)
    assert not marker.exists()
