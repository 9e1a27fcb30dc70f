"""The client."""

from typing import Self

from eventfold._async.appends import AsyncAppends
from eventfold._async.closing import AsyncClosingCalls
from eventfold._async.compensation import AsyncCompensationCalls
from eventfold._async.connection import AsyncConnection
from eventfold._async.deletion import AsyncDeletionCalls
from eventfold._async.erasures import AsyncErasureCalls
from eventfold._async.event_types import AsyncEventTypeCalls
from eventfold._async.groups import AsyncGroupCalls
from eventfold._async.keys import AsyncKeyCalls
from eventfold._async.links import AsyncLinkCalls
from eventfold._async.pairs import AsyncPairCalls
from eventfold._async.privacy import AsyncPrivacyCalls
from eventfold._async.projections import AsyncProjectionCalls
from eventfold._async.references import AsyncReferenceCalls
from eventfold._async.subjects import AsyncSubjectCalls
from eventfold._async.subscription import AsyncSubscriptionCalls
from eventfold._async.transforms import AsyncTransformCalls
from eventfold._async.watch import AsyncWatchCalls
from eventfold._json import Numbers
from eventfold._settings import Settings, Tls


class AsyncClient(
    AsyncPairCalls,
    AsyncCompensationCalls,
    AsyncWatchCalls,
    AsyncSubscriptionCalls,
    AsyncGroupCalls,
    AsyncProjectionCalls,
    AsyncEventTypeCalls,
    AsyncPrivacyCalls,
    AsyncReferenceCalls,
    AsyncClosingCalls,
    AsyncTransformCalls,
    AsyncKeyCalls,
    AsyncLinkCalls,
    AsyncDeletionCalls,
    AsyncErasureCalls,
    AsyncSubjectCalls,
):
    """A connection to an eventfold server.

        async with eventfold.AsyncClient("127.0.0.1:4141") as store:
            await store.append("account-1234", events, expected_version=0)

    The connection opens with the first call, carries any number of calls at once, and opens
    again by itself. Reads and appends are repeated, up to 5 times within their timeout, when the
    server or the connection was unavailable: an append names the ids of its events and is stored
    once. A client belongs to the process (and an asynchronous one to the event loop) that first
    used it.

    Args:
        target: address of the server, `host:port`; also `unix:path` and gRPC's other forms.
        token: sent as `authorization: Bearer`. Default: none.
        tls: True: TLS with the usual authorities; a path or PEM bytes: with the authorities in
            it. Default: plain text.
        timeout: seconds for a call with its repetitions, and for reads the longest time in which
            nothing new comes. Default: 10. Each call can name its own. The server takes 60 s at
            most.
        numbers: `decimal`, the default: JSON numbers with fraction or exponent arrive as
            `Decimal`, exactly; `float`: as float.
        insecure: allows to send the token in plain text to another machine.

    Raises:
        InsecureConnection: a token, no TLS, and another machine.
        OSError: the file named by `tls` cannot be read.

    Every call can raise `ConnectionFailed`, `UnexpectedAnswer`, `DeadlineExceeded`,
    `StorageUnavailable`, `ShuttingDown`, `Overloaded`, `Unauthenticated`, `PermissionDenied` and
    `Bug`; the docstrings name what comes on top.
    """

    def __init__(
        self,
        target: str,
        *,
        token: str | None = None,
        tls: Tls = False,
        timeout: float = 10.0,
        numbers: Numbers = "decimal",
        insecure: bool = False,
    ) -> None:
        self._connection = AsyncConnection(Settings(target, token, tls, timeout, numbers, insecure))
        self._appends = AsyncAppends(self._connection)

    @property
    def target(self) -> str:
        """Address of the server."""
        return self._connection.settings.target

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection. Calls under way fail; closing twice is allowed."""
        await self._connection.close()

    def __repr__(self) -> str:
        return f"<AsyncClient {self.target}>"
