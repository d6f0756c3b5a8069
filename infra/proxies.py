"""Servers of this machine are asked directly, also where a proxy leads to the network."""

import os

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def ask_loopback_directly() -> None:
    """Add this machine's own names to `NO_PROXY`, for this process and all that it starts."""
    for variable in ("NO_PROXY", "no_proxy"):
        names = [name for name in os.environ.get(variable, "").split(",") if name]
        os.environ[variable] = ",".join(dict.fromkeys([*names, *LOOPBACK]))
