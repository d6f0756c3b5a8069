"""Whom the servers answer: this machine alone, unless told otherwise, and only under names that are known."""

import socket
from dataclasses import dataclass

from infra.processes import LOOPBACK
from tasks.errors import InputError

LOCAL_NAMES = (LOOPBACK, "localhost")
EVERYWHERE = "0.0.0.0"


@dataclass(frozen=True)
class Exposure:
    """Where servers listen, and the names by which they may be called.

    Attributes:
        host: address that they listen on.
        allowed_hosts: names in a request's ``Host`` that are answered, beside this machine's own. A page that was
            opened elsewhere could else reach a server on loopback through a name of its own (DNS rebinding).
    """

    host: str = LOOPBACK
    allowed_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that who listens beyond loopback says by which names.

        Raises:
            InputError: no names are given, or the host is no address of this machine.
        """
        if not self.is_local and not self.allowed_hosts:
            raise InputError(
                f"--host {self.host} lets other machines in: say with --allowed-hosts by which names they call this one"
            )
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((self.host, 0))
        except OSError as error:
            raise InputError(
                f"--host {self.host} is no IPv4 address of this machine: give one of its own, or {EVERYWHERE} for all"
            ) from error

    @property
    def is_local(self) -> bool:
        """Whether only this machine is answered."""
        return self.host in LOCAL_NAMES

    @property
    def names(self) -> tuple[str, ...]:
        """All names that are answered."""
        own = () if self.host == EVERYWHERE else (self.host,)
        return tuple(dict.fromkeys((*LOCAL_NAMES, *own, *self.allowed_hosts)))

    @property
    def called(self) -> str:
        """The name by which clients here and elsewhere reach a server."""
        return self.host if self.is_local else self.allowed_hosts[0]

    @property
    def probed(self) -> str:
        """The address by which this machine asks whether a server is ready."""
        return LOOPBACK if self.host == EVERYWHERE else self.host


LOCAL = Exposure()
"""This machine alone."""
