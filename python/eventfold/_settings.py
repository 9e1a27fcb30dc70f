"""How a client connects: the target, TLS, the token, and the limits of the channel."""

import ipaddress
import math
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TypeAlias, TypedDict

from eventfold import _core
from eventfold._errors import InsecureConnection, InvalidValue
from eventfold._json import Numbers

Tls: TypeAlias = bool | bytes | str | Path

# Pages and states stay under gRPC's default of 4 MiB; one event with all its parts may come close,
# so there is room.
_MESSAGE_BYTES_MAX = 8 << 20
# A peer that is dead while calls are under way is found within 80 s. A ping a minute is far below
# what servers call a flood.
_KEEPALIVE_S = (60.0, 20.0)
# The first pause after a connection failed is in the range of the pauses between the repetitions of
# a call.
_BACKOFF_S = (0.05, 5.0)
_SCHEMES = ("dns:", "ipv4:", "ipv6:")


class ChannelSettings(TypedDict):
    """How to connect."""

    target: str
    """`host:port`, or another form of gRPC's targets."""
    is_tls: bool
    """False: plain text."""
    authorities: bytes | None
    """Who vouches for the server, in PEM; None: the authorities of the system."""
    user_agent: str
    token: str | None
    """Sent as `authorization: Bearer`."""
    message_bytes_max: int
    """Longest message, in either direction."""
    backoff_s: tuple[float, float]
    """Pause after a connection failed: the first, and the longest."""
    keepalive_s: tuple[float, float]
    """After so long without a sign of life a call under way asks for one, and how long it waits."""


def _version() -> str:
    try:
        return metadata.version("eventfold")
    except metadata.PackageNotFoundError:
        return "0"


def is_loopback(target: str) -> bool:
    """Whether a target stays on this machine."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    for scheme in _SCHEMES:
        target = target.removeprefix(scheme)
    host = target.rpartition("/")[2]
    if "," in host:
        # A list of addresses, of which the first alone would be looked at.
        return False
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_timeout(seconds: float) -> float:
    """A timeout in seconds.

    Raises:
        InvalidValue: it is not above 0, or not finite.
    """
    if not (seconds > 0 and math.isfinite(seconds)):
        problem = f"a timeout is a number of seconds above 0, not {seconds!r}"
        raise InvalidValue(problem, {"path": "timeout", "problem": problem})
    return float(seconds)


@dataclass(frozen=True)
class Settings:
    """All that a client knows about its connection."""

    target: str
    token: str | None = field(default=None, repr=False)
    tls: Tls = False
    timeout: float = 10.0
    numbers: Numbers = "decimal"
    insecure: bool = False

    def __post_init__(self) -> None:
        check_timeout(self.timeout)
        if self.numbers not in ("decimal", "float"):
            raise ValueError(f"numbers is 'decimal' or 'float', not {self.numbers!r}")
        exposed = self.token is not None and self.tls is False and not is_loopback(self.target)
        if exposed and not self.insecure:
            problem = (
                f"the token would travel in plain text to {self.target}; use tls=True, or "
                "insecure=True if something else protects the way there"
            )
            raise InsecureConnection(problem, {"target": self.target})

    def check(self) -> None:
        """Finds out whether they will do, without connecting.

        Raises:
            InvalidValue: the target is no address, the token cannot be sent, or the authorities
                are none.
            OSError: the file of the authorities cannot be read.
        """
        try:
            _core.Channel.check(self.channel())
        except ValueError as error:
            raise InvalidValue(str(error)) from None

    def channel(self) -> ChannelSettings:
        """How to connect. The certificate of the authority is read here.

        Raises:
            OSError: the file cannot be read.
        """
        authorities = None
        if isinstance(self.tls, bytes):
            authorities = self.tls
        elif not isinstance(self.tls, bool):
            authorities = Path(self.tls).read_bytes()
        return {
            "target": self.target,
            "is_tls": self.tls is not False,
            "authorities": authorities,
            "user_agent": f"eventfold-python/{_version()}",
            "token": self.token,
            "message_bytes_max": _MESSAGE_BYTES_MAX,
            "backoff_s": _BACKOFF_S,
            "keepalive_s": _KEEPALIVE_S,
        }
