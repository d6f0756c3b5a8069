"""The step of CI that asks for known vulnerabilities, with doubles in place of Python and pip-audit."""

import subprocess
from pathlib import Path

import pytest

AUDIT = Path(__file__).parent.parent / ".ci" / "audit"


def run(folder: Path, *, asked: int, found: int = 0, exemptions: str = "") -> subprocess.CompletedProcess[str]:
    """Run the step; `asked` is the exit code of the question whether the service is there, `found` pip-audit's."""
    (folder / "bin").mkdir()
    for name, script in {"python": f"exit {asked}", "pip-audit": f'echo "$@" > {folder}/given; exit {found}'}.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    (folder / "exemptions").write_text(exemptions)
    command = ["bash", str(AUDIT), str(folder / "bin"), str(folder / "exemptions")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("found", [0, 1])
def test_what_is_found_decides(found: int, tmp_path: Path) -> None:
    assert run(tmp_path, asked=0, found=found).returncode == found
    assert "--requirement requirements.lock" in (tmp_path / "given").read_text()


@pytest.mark.parametrize("code", [3, 124])
def test_a_service_that_cannot_be_reached_is_said_and_no_failure(code: int, tmp_path: Path) -> None:
    done = run(tmp_path, asked=code, found=1)
    assert (done.returncode, done.stdout.strip()[-11:]) == (0, "NOT AUDITED")
    assert not (tmp_path / "given").exists()


@pytest.mark.parametrize("code", [1, 2, 127])
def test_anything_else_that_goes_wrong_is_a_failure(code: int, tmp_path: Path) -> None:
    assert run(tmp_path, asked=code).returncode == 1


def test_an_exemption_needs_a_reason(tmp_path: Path) -> None:
    done = run(tmp_path, asked=0, exemptions="# a comment\n\nPYSEC-2026-1\n")
    assert (done.returncode, "PYSEC-2026-1 has no reason" in done.stderr) == (1, True)


def test_exemptions_are_handed_on(tmp_path: Path) -> None:
    exemptions = "# a comment\nPYSEC-2026-1 never called here\nGHSA-xxxx only on another system\n"
    assert run(tmp_path, asked=0, exemptions=exemptions).returncode == 0
    given = (tmp_path / "given").read_text().split()
    assert given[-4:] == ["--ignore-vuln", "PYSEC-2026-1", "--ignore-vuln", "GHSA-xxxx"]


def test_the_exemptions_that_there_are_have_reasons() -> None:
    lines = (AUDIT.parent / "audit-exemptions").read_text(encoding="utf-8").splitlines()
    assert all(len(line.split()) > 3 for line in lines if line and not line.startswith("#"))
