"""How a client connects: the target, TLS, the token, and the options of the channel."""

import ipaddress
import math
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TypeAlias

import grpc

from eventfold._errors import InsecureConnection, InvalidValue
from eventfold._json import Numbers

Tls: TypeAlias = bool | bytes | str | Path

_RECEIVED_BYTES_MAX = 8 << 20
_SCHEMES = ("dns:", "ipv4:", "ipv6:")


def _version() -> str:
    try:
        return metadata.version("eventfold")
    except metadata.PackageNotFoundError:
        return "0"


def channel_options() -> list[tuple[str, str | int]]:
    """Options of the channel, each with its reason."""
    return [
        # Pages and states stay under gRPC's default of 4 MiB; one event with all its parts may
        # come close, so there is room.
        ("grpc.max_receive_message_length", _RECEIVED_BYTES_MAX),
        ("grpc.max_send_message_length", _RECEIVED_BYTES_MAX),
        # A dead peer is found within 80 s. A ping a minute is far below what servers call a flood.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # By default gRPC stops to ping after two pings without data, and a quiet connection would
        # be thought alive for ever.
        ("grpc.http2.max_pings_without_data", 0),
        # gRPC waits 1 s after a refused connection by default, which is longer than the pauses
        # between the repetitions of a call.
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # The SDK repeats calls itself, by the reasons of the catalogue.
        ("grpc.enable_retries", 0),
        ("grpc.primary_user_agent", f"eventfold-python/{_version()}"),
    ]


def is_loopback(target: str) -> bool:
    """Whether a target stays on this machine."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    for scheme in _SCHEMES:
        target = target.removeprefix(scheme)
    host = target.rpartition("/")[2]
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

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)

    def credentials(self) -> grpc.ChannelCredentials | None:
        """None: plain text. The certificate of the authority is read here."""
        if self.tls is False:
            return None
        roots = None
        if isinstance(self.tls, bytes):
            roots = self.tls
        elif self.tls is not True:
            roots = Path(self.tls).read_bytes()
        return grpc.ssl_channel_credentials(root_certificates=roots)
