"""The part of `eventfold._core` that speaks to a server."""

import datetime as dt
from asyncio import Future
from typing import Any, Final, final

from eventfold._settings import ChannelSettings

class CallError(Exception):
    """A call failed.

    Attributes:
        code: Name of the code of gRPC, such as `UNAVAILABLE`.
        message: A sentence for people.
        details: A serialised `google.rpc.Status`; empty if the server sent none.
    """

    code: Final[str]
    message: Final[str]
    details: Final[bytes]

@final
class Channel:
    """A channel to one server; its calls share a connection.

    All channels of a process work on one thread, which the first one starts. A method that waits
    does so without the GIL; a handler of a signal may raise out of it, and ends the call. A method
    whose name begins with `begin` takes a future of an event loop instead, which is to call `tell`
    when `fileno` is readable.
    """

    def __new__(cls, settings: ChannelSettings) -> Channel:
        """Connect with the first call, and again after a connection broke.

        Raises:
            ValueError: The target is none, or the token cannot be sent.
            OSError: The authorities cannot be read.
        """
    @staticmethod
    def check(settings: ChannelSettings) -> None:
        """Find out whether a channel could be made, without starting anything.

        Raises:
            ValueError: The target is none, the token cannot be sent, or the authorities are none.
        """
    def fileno(self) -> int:
        """Return the descriptor that is readable while futures wait to be told."""
    def tell(self) -> None:
        """Tell all futures whose calls are done; a future that is done already is left alone."""
    def unary(self, path: str, request: bytes, timeout: float) -> bytes:
        """Make a call of one message and one answer, and wait for it.

        Raises:
            CallError: It was refused or failed.
        """
    def begin_unary(self, future: Future[Any], path: str, request: bytes, timeout: float) -> Job:
        """Begin such a call."""
    def stream(self, path: str, request: bytes, timeout: float | None) -> Call:
        """Begin a call of one message and many in answer; None: it has no deadline."""
    def session(self, path: str) -> Call:
        """Begin a call without a deadline, of many messages both ways."""
    def append_session(
        self,
        path: str,
        *,
        appends_max: int,
        bytes_max: int,
        message_bytes_max: int,
        idle_s: float,
    ) -> AppendSession:
        """Begin a session of appends."""
    def close(self) -> None:
        """End the connection: calls under way fail. Closing twice is allowed."""
    def begin_close(self, future: Future[Any]) -> None:
        """Close; the future is told after those of all calls that were under way."""

@final
class Job:
    """A call under way."""

    def cancel(self) -> None:
        """Give it up."""

@final
class Call:
    """A call with many messages. It ends when it is dropped."""

    def next(self) -> bytes | None:
        """Wait for the next message; None: the call ended well.

        Raises:
            CallError: The call was refused or failed; all that came before has been returned.
        """
    def begin_next(self, future: Future[Any]) -> None:
        """Ask for the next message."""
    def send(self, message: bytes) -> None:
        """Send a message of a session, and wait until it was handed over.

        Raises:
            CallError: The call is over; `next` says why.
        """
    def begin_send(self, future: Future[Any], message: bytes) -> None:
        """Send a message of a session."""
    def done_sending(self) -> None:
        """Say that no more messages will come."""
    def cancel(self) -> None:
        """End the call."""

@final
class AppendSession:
    """One call that carries many appends. It begins at once, and ends when it breaks, idles, or is
    dropped.

    What waits goes out with the next message, in order. The length is the number of appends without
    an answer.
    """

    def put(self, request: bytes, timeout: float) -> SentAppend | None:
        """Send an `AppendRequest` with the next message; None: the session is over.

        Args:
            request: The serialised message.
            timeout: Seconds after which it counts as unanswered; the server is told.
        """
    def begin_put(self, future: Future[Any], request: bytes, timeout: float) -> SentAppend | None:
        """Add one, whose outcome the future is told, to the next message; `flush` sends it."""
    def flush(self) -> None:
        """Send what was added. Appends that are added before it share a message."""
    def __len__(self) -> int: ...
    @property
    def sent(self) -> int:
        """The number of appends that were sent and are without an answer."""
    @property
    def is_over(self) -> bool:
        """Whether it takes no more appends."""

@final
class SentAppend:
    """An append of a session, on its way. Its outcome is one of:

    - what `decode_appended` returns: it is stored;
    - bytes: a serialised `SessionAnswer`, which says why it was refused;
    - True or False: its time is over, and it was sent or it was not.
    """

    def wait(self) -> Any:
        """Wait for the outcome; once, and only after `put`.

        Raises:
            CallError: The session broke.
        """
    def leave(self) -> None:
        """Take no interest: it is not sent if it was not yet."""

def decode_appended(message: bytes) -> tuple[int, int, tuple[int, ...], bool, dt.datetime]:
    """Read a serialised `AppendResponse`.

    Returns:
        First version, last version, positions, whether it is a duplicate, when it was recorded.

    Raises:
        CoreError: INVALID_REQUEST for other bytes.
    """
