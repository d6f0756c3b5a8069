"""Whom the servers answer."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from infra import mlflow_server, prefect_server, processes
from infra.exposure import EVERYWHERE, LOCAL, Exposure
from infra.processes import opener
from infra.settings import Settings, load_settings
from tasks.errors import InputError


def status(url: str, host: str) -> int:
    """Of a GET that calls the server by another name."""
    try:
        with opener(url).open(urllib.request.Request(url, headers={"Host": host}), timeout=20) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_this_machine_alone_by_default() -> None:
    assert (LOCAL.host, LOCAL.called, LOCAL.probed) == ("127.0.0.1", "127.0.0.1", "127.0.0.1")
    assert LOCAL.is_local
    assert LOCAL.names == ("127.0.0.1", "localhost")


def test_who_lets_others_in_says_by_which_names() -> None:
    with pytest.raises(InputError, match=r"--host 0\.0\.0\.0 lets other machines in: say with --allowed-hosts"):
        Exposure(EVERYWHERE)
    everywhere = Exposure(EVERYWHERE, ("lab.example", "10.0.0.7"))
    assert not everywhere.is_local
    assert everywhere.names == ("127.0.0.1", "localhost", "lab.example", "10.0.0.7")
    assert (everywhere.called, everywhere.probed) == ("lab.example", "127.0.0.1")


def test_address_of_another_machine_is_refused() -> None:
    # 203.0.113.0/24 is for documentation: nobody has it (RFC 5737).
    with pytest.raises(InputError, match=r"203\.0\.113\.9 is no IPv4 address of this machine"):
        Exposure("203.0.113.9", ("lab.example",))
    with pytest.raises(InputError, match="no IPv4 address of this machine"):
        Exposure("no host", ("lab.example",))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(home=tmp_path_factory.mktemp("home"), device="cpu")


@pytest.fixture(scope="module")
def servers(home: Settings) -> Iterator[list[processes.Server]]:
    exposure = Exposure("127.0.0.1", ("lab.example",))
    started = [prefect_server.start_server(home, exposure), mlflow_server.start_server(home, exposure)]
    try:
        for server in started:
            processes.wait_until_healthy(server)
        yield started
    finally:
        for server in started:
            processes.stop(server)


@pytest.mark.server
def test_servers_answer_known_names_only(servers: list[processes.Server]) -> None:
    prefect, mlflow = servers
    for url in (f"{prefect.url}/admin/version", f"{mlflow.url}/api/2.0/mlflow/experiments/search?max_results=1"):
        port = url.split(":")[2].split("/")[0]
        for name in (f"127.0.0.1:{port}", f"localhost:{port}", "lab.example"):
            assert status(url, name) == 200, (url, name)
        assert status(url, "evil.example") in {400, 403}, url
