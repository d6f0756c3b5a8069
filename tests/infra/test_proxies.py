"""Which hosts a process asks directly, as Python's own reading of the variables has it."""

import urllib.request

import pytest

from infra.proxies import ask_loopback_directly


@pytest.mark.parametrize("before", ["", "intranet", "localhost,intranet"])
def test_this_machine_is_asked_directly_and_what_was_named_before(monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, before)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for _ in range(2):
        ask_loopback_directly()
        assert all(urllib.request.proxy_bypass(host) for host in ("127.0.0.1:4200", "localhost"))
        assert bool(urllib.request.proxy_bypass("intranet")) == ("intranet" in before)
        assert not urllib.request.proxy_bypass("example.org")
