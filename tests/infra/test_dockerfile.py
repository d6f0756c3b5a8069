"""The image: made from the lock by its hashes, run by a user without rights, from what is in the repository."""

import fnmatch
import re
import shlex
import subprocess
from pathlib import Path

HOUSE = Path(__file__).parents[2]
FOLDER = HOUSE / "infra" / "docker"


def instructions() -> list[tuple[str, str]]:
    """Each instruction and what follows it, continued lines joined."""
    lines = [line for line in (FOLDER / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def of(name: str) -> list[str]:
    return [rest for each, rest in instructions() if each == name]


def copied() -> list[str]:
    """Names at the top of the repository that are copied into the image."""
    return [word for rest in of("COPY") if "--from" not in rest for word in shlex.split(rest)[:-1]]


def test_both_variants_come_from_one_build() -> None:
    stages = [rest.split(" AS ") for rest in of("FROM")]
    assert [name for _, name in stages] == ["build", "cpu", "cuda"]
    assert stages[2][0] == "cpu"
    for image, _ in stages[:2]:
        assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", image)


def test_all_packages_come_from_the_lock_by_their_hashes() -> None:
    installs = [part for rest in of("RUN") for part in rest.split("&&") if re.search(r"\bpip install\b", part)]
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-deps" in install
    assert "-r requirements.lock" in installs[1]


def test_uv_is_cut_out_of_the_lock_with_its_hashes() -> None:
    (cut,) = [part for rest in of("RUN") for part in rest.split("&&") if "awk" in part]
    program = shlex.split(cut)[1]
    done = subprocess.run(
        ["awk", program, str(HOUSE / "requirements.lock")], capture_output=True, text=True, check=True, timeout=60
    )
    first, *rest = done.stdout.splitlines()
    assert first.startswith("uv==")
    assert len(rest) > 1
    assert all(line.strip().startswith("--hash=sha256:") for line in rest)


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert ignored[1] == "*"
    sources = [source.removeprefix("./") for source in copied()]
    assert "requirements.lock" in sources
    for source in sources:
        assert (HOUSE / source).exists()
        assert any(fnmatch.fnmatch(source, pattern) for pattern in kept)
    assert set(kept) == set(sources)


def test_what_the_package_needs_is_copied() -> None:
    pyproject = (HOUSE / "pyproject.toml").read_text()
    for name in ("README.md", "flows", "tasks", "infra"):
        assert name in pyproject
        assert name in copied()
    assert "prefect.yaml" in copied()


def test_it_runs_as_a_user_without_rights() -> None:
    assert of("USER") == ["10001:10001"]
    names = [name for name, _ in instructions()]
    after = names[names.index("USER") :]
    assert "RUN" not in after
    assert "ADD" not in names
    assert "sudo" not in " ".join(of("RUN"))


def test_no_secret_and_no_address_is_in_it() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    assert "://" not in text
    assert not re.search(r"PASSWORD|TOKEN|SECRET", text)
