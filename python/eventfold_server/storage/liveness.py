"""Connections whose other end went without a word: noticed by the system, within half a minute.

A machine that loses power, or a firewall that forgets, sends nothing; a statement would wait for
its answer until its own time is over, and appends have no such time while they commit.
"""

import socket
from typing import Any

# The other end is asked after so many seconds of silence, and again, until it has not answered for
# so long; the same holds for what was sent and is not acknowledged.
SILENCE_S = 10
ASK_AGAIN_S = 5
ASK_TIMES = 3
UNANSWERED_MS = 25_000

# Of a system that lacks one of them the others are set. The first two are one: macOS calls it so.
_OPTIONS = {
    "TCP_KEEPIDLE": SILENCE_S,
    "TCP_KEEPALIVE": SILENCE_S,
    "TCP_KEEPINTVL": ASK_AGAIN_S,
    "TCP_KEEPCNT": ASK_TIMES,
    "TCP_USER_TIMEOUT": UNANSWERED_MS,
}


async def watch(connection: Any) -> None:
    """Has the system watch a connection of the driver; one within the machine needs it not."""
    # The driver does not show its socket in another way.
    found = connection._transport.get_extra_info("socket")
    if found is None or found.family == socket.AF_UNIX:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        if (option := getattr(socket, name, None)) is not None:
            found.setsockopt(socket.IPPROTO_TCP, option, value)
