"""PostgreSQL under the home: its programs, its password, its databases."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from infra import postgres, processes
from infra.settings import load_settings
from tasks.errors import InputError


def test_missing_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres.shutil, "which", lambda name, path: None)
    with pytest.raises(InputError, match=r"no initdb: install it, on Debian with `apt-get install postgresql`"):
        postgres.open_cluster(load_settings(home=tmp_path, device="cpu"))


def test_account_that_is_missing_or_shut_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_account", lambda: "nobody-of-this-name")
    with pytest.raises(InputError, match="this machine has no account nobody-of-this-name"):
        postgres._own(tmp_path)
    monkeypatch.setattr(postgres, "_account", lambda: "daemon")
    monkeypatch.setattr(postgres.os, "chown", lambda *_: None)
    monkeypatch.setattr(
        postgres.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, returncode=1)
    )
    with pytest.raises(InputError, match=r"account daemon cannot enter .*: give a --home that all users may enter"):
        postgres._own(tmp_path)


@pytest.mark.server
def test_databases_are_made_once_and_kept_and_want_the_password(tmp_path: Path) -> None:
    try:
        postgres._program("initdb")
    except InputError:
        pytest.skip("PostgreSQL is not installed")
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)  # PostgreSQL's account has to pass
    settings = load_settings(home=tmp_path / "home", device="cpu")
    half = settings.home / "postgres" / "data.new"  # of a first start that was killed
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15\n")
    cluster = postgres.open_cluster(settings)
    assert not half.exists()
    assert stat.S_IMODE(cluster.passfile.stat().st_mode) == 0o600
    for _ in range(2):  # the second start finds all as it was
        server = postgres.start(cluster, settings)
        try:
            processes.wait_until_healthy(server)
            postgres.create_databases(cluster, ("one", "two"))
            assert set((postgres._query(cluster, "SELECT datname FROM pg_database") or "").split()) >= {"one", "two"}
            command = [postgres._program("psql"), "--no-password", "-c", "SELECT 1", cluster.url("one")]
            stranger = {**os.environ, "PGPASSFILE": "/dev/null"}
            refused = subprocess.run(command, env=stranger, capture_output=True, text=True, check=False)
            assert refused.returncode != 0 and "password" in refused.stderr
        finally:
            processes.stop(server)
        password = cluster.passfile.read_text().strip().split(":")[-1]
        assert len(password) >= 24
        assert password not in " ".join(map(str, server.process.args))
        assert postgres.open_cluster(settings).passfile.read_text().split(":")[-1].strip() == password


def test_server_without_queries_is_given_up(tmp_path: Path) -> None:
    with processes.listen(0) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(processes.ServerError, match=f"PostgreSQL at port {port} answered no query in 0 s"):
        postgres.create_databases(postgres.Postgres(tmp_path / "data", port), (), timeout=0.1)
