"""What passes between a server and its workers: an order at the start, and one line back."""

import json
import pickle
from dataclasses import asdict, dataclass

from eventfold_server.config import ServerConfig


@dataclass(frozen=True)
class Order:
    """What a worker is to do; it travels through a pipe, since the URL may hold a password."""

    # Stands in each line of its log.
    name: str
    config: ServerConfig
    # Numeric level of `logging`.
    log_level: int

    def dump(self) -> bytes:
        """The order as bytes, small enough for a pipe that nobody reads yet."""
        return pickle.dumps(self)

    @staticmethod
    def load(dumped: bytes) -> "Order":
        """The order from the pipe of this server's own."""
        order: Order = pickle.loads(dumped)  # noqa: S301 - written by the parent process
        return order


@dataclass(frozen=True)
class Report:
    """What a worker tells once: that it serves (`refused` is None), or why it does not."""

    refused: str | None = None

    def dump(self) -> bytes:
        """The report as a line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @staticmethod
    def load(line: bytes) -> "Report":
        """The report; an end without a line is one too."""
        if not line:
            return Report("it ended before it served")
        return Report(**json.loads(line))
