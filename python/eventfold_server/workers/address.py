"""An address that is this server's alone, although its workers share it among themselves.

With SO_REUSEPORT any process of the same user could join in silence, a second server too. So the
address is first taken without it, which fails where anybody else has it; what holds it then until
the end is a socket that never listens: it gets no connection, and nobody can take the address who
does not say SO_REUSEPORT, as only workers do.
"""

import errno
import socket
from typing import Self

from eventfold_server.config import ConfigError

WILDCARDS = {"0.0.0.0", "::"}  # noqa: S104 - compared, not listened on
# What an address gives that this machine lacks, such as `::1` of `localhost` without IPv6.
_ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class ReservedAddress:
    """Holds an address for workers to listen on."""

    def __init__(self, listen: str) -> None:
        """Takes `host:port`, with a free port where 0 is asked for; raises ConfigError."""
        host, _, port = listen.rpartition(":")
        self._sockets: list[socket.socket] = []
        self._port = int(port)
        try:
            absent: OSError | None = None
            for family, address in _resolved(host.strip("[]")):
                try:
                    self._sockets.append(_take(family, address, self._port))
                except OSError as error:
                    if error.errno not in _ABSENT:
                        raise
                    absent = error
                else:
                    # Every address of a name gets the port that was free on the first.
                    self._port = self._sockets[0].getsockname()[1]
            if absent is not None and not self._sockets:
                raise absent
        except OSError as error:
            self.close()
            raise ConfigError(
                f"cannot listen on {listen}: is the port in use, or the address not of this "
                f"machine? ({error.strerror})"
            ) from error
        self.listen = f"{host}:{self._port}"

    def close(self) -> None:
        """Gives the address back; may be called again."""
        for held in self._sockets:
            held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _resolved(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses that gRPC will listen on; it takes any wildcard for all of both families."""
    if host in WILDCARDS:
        dual = socket.has_dualstack_ipv6()
        return [(socket.AF_INET6, "::") if dual else (socket.AF_INET, "0.0.0.0")]  # noqa: S104
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return [(family, str(address[0])) for family, _, _, _, address in found]


def _take(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    """A socket that holds the address and does not listen."""
    with _socket(family, address) as first:
        first.bind((address, port))
        # Only now a socket that holds the address without listening is in the way.
        first.listen(1)
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held = _socket(family, address)
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((address, first.getsockname()[1]))
            # From here on it is in the way of everybody who does not share.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        except OSError:
            held.close()
            raise
    return held


def _socket(family: socket.AddressFamily, address: str) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    # As servers do: connections of the one before that wait to be forgotten do not count.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "::" else 1)
    return made
