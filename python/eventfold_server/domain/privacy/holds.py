"""Legal holds: what is neither erased nor deleted for now."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from eventfold_server.domain import requests
from eventfold_server.domain.audit import Audit
from eventfold_server.domain.erasure.admin import checked_reason, subject_name
from eventfold_server.domain.privacy.administration import KeyParts
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.limits import LEGAL_HOLD_NAME_BYTES_MAX, LEGAL_HOLDS_MAX
from eventfold_server.storage.legal_holds import LegalHoldRow, LegalHoldStorage

# What the domain knows of a hold is its row.
LegalHold = LegalHoldRow

# Ids of the events of `$audit` that say so are made of this.
_AUDITED = UUID("c2a5b0a4-2f0e-4f7e-9b57-3d0c6f0c8a61")


class LegalHolds:
    """The legal holds of one store."""

    def __init__(self, parts: KeyParts | None, storage: LegalHoldStorage, audit: Audit) -> None:
        """Without parts, only streams can be held: the server has no master key."""
        self._parts = parts
        self._storage = storage
        self._audit = audit

    async def put(
        self, caller: Caller, name: str, subject: str | None, stream: str | None, reason: str
    ) -> LegalHold:
        """Holds a subject or a stream."""
        _checked_name(name)
        checked_reason(reason)
        hash_ = None
        if subject is not None:
            hash_ = self._hash(subject_name(subject))
        elif stream is not None:
            requests.client_stream_name(stream)
        else:
            raise requests.invalid("target", "is required: a subject or a stream")
        await self._storage.put(name, hash_, stream, reason, caller.writer)
        found = await self._storage.get(name)
        if found is None:
            raise Refusal(
                "TOO_MANY_HOLDS",
                f"there are {LEGAL_HOLDS_MAX} legal holds already",
                limit=LEGAL_HOLDS_MAX,
            )
        if found.subject_hash != hash_ or found.stream != await self._storage.root(stream):
            raise Refusal("HOLD_EXISTS", "a hold of this name holds something else", hold=name)
        # Also the second time, if the first was cut short before; it is written once.
        act = uuid5(_AUDITED, f"{found.put_at.timestamp()}/{name}")
        by = Caller(found.put_by, frozenset())
        await self._audit.write(by, "$LegalHoldPut", _facts(found), event_id=act)
        return found

    async def release(self, caller: Caller, name: str) -> None:
        """Releases a hold."""
        found = await self._storage.get(_checked_name(name))
        if found is None or not await self._storage.release(name):
            raise Refusal("HOLD_NOT_FOUND", "there is no legal hold of this name", hold=name)
        await self._audit.write(caller, "$LegalHoldReleased", _facts(found))

    async def page(self, after: str, limit: int) -> list[LegalHold]:
        """Holds named above `after`, in byte order."""
        return await self._storage.page(requests.text("page_token", after), limit)

    def hashes(self, roots: Sequence[str]) -> list[bytes]:
        """What stands for the subjects that first streams of lines name."""
        return [] if self._parts is None else [self._parts.store.hash_of(root) for root in roots]

    def _hash(self, subject: str) -> bytes:
        if self._parts is None:
            raise Refusal("KEYS_NOT_CONFIGURED", "the server has no master key")
        return self._parts.store.hash_of(subject)


def _facts(hold: LegalHold) -> dict[str, object]:
    return {
        "hold": hold.name,
        "subject_hash": hold.subject_hash,
        "stream": hold.stream,
        "reason": hold.reason,
    }


def _checked_name(name: str) -> str:
    requests.text("name", name)
    if not 1 <= len(name.encode()) <= LEGAL_HOLD_NAME_BYTES_MAX:
        raise requests.invalid(
            "name", f"must have 1 to {LEGAL_HOLD_NAME_BYTES_MAX} bytes", LEGAL_HOLD_NAME_BYTES_MAX
        )
    return name
