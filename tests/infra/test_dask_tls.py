"""Who has the key may connect; nobody else, and nobody else may read it."""

import asyncio
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from distributed import Security
from distributed.comm import connect, listen

from infra.dask_tls import write_certificate


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_this_user_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    (folder / "key.pem").write_text("old")
    (folder / "key.pem").chmod(0o644)
    write_certificate(folder)
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {"certificate.pem": 0o600, "key.pem": 0o600}
    assert (folder / "key.pem").read_text().startswith("-----BEGIN PRIVATE KEY-----")


def test_each_is_another_one(tmp_path: Path) -> None:
    for name in "ab":
        write_certificate(tmp_path / name)
    for name in ("certificate.pem", "key.pem"):
        assert (tmp_path / "a" / name).read_text() != (tmp_path / "b" / name).read_text()


def heard(listener: Security, caller: Security | None) -> str:
    """What somebody who listens hears from a caller, over a real connection."""

    async def talk() -> str:
        got: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def answer(comm: object) -> None:
            got.set_result(await comm.read())  # type: ignore[attr-defined]

        async with listen("tls://127.0.0.1", answer, **listener.get_listen_args("scheduler")) as door:
            address = door.contact_address
            if caller is None:
                comm = await connect(address.replace("tls", "tcp"), timeout=1)
            else:
                comm = await connect(address, timeout=1, **caller.get_connection_args("client"))
            await comm.write("hello")
            try:
                return await asyncio.wait_for(got, 2)
            finally:
                await comm.close()

    return asyncio.run(talk())


def test_who_has_the_key_is_heard(tmp_path: Path) -> None:
    security = write_certificate(tmp_path)
    assert security.require_encryption
    assert heard(security, security) == "hello"


def test_who_has_another_key_or_none_is_not(tmp_path: Path) -> None:
    security = write_certificate(tmp_path / "ours")
    for stranger in (write_certificate(tmp_path / "theirs"), None):
        with pytest.raises((OSError, ssl.SSLError, asyncio.TimeoutError)):
            heard(security, stranger)


def test_a_script_can_have_one(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "infra.dask_tls", str(tmp_path / "keys")], check=True, timeout=60)
    assert done.returncode == 0
    context = ssl.create_default_context(cafile=str(tmp_path / "keys" / "certificate.pem"))
    context.load_cert_chain(str(tmp_path / "keys" / "certificate.pem"), str(tmp_path / "keys" / "key.pem"))
    assert context.cert_store_stats()["x509"] == 1
