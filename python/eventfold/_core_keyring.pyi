"""The part of the Rust core that holds keys, for the server; not a module of its own:
`eventfold._core` has all of it, on Unix.
"""

from typing import final

def boottime() -> int:
    """Microseconds since the machine was started, by the clock that goes on while it sleeps."""

@final
class Keyring:
    """Data keys of subjects in memory. They are used only while a lease lasts: others may count on
    that, whatever this process has missed.
    """

    def __new__(cls, subjects_max: int) -> Keyring:
        """Make an empty one without a lease, for the keys of so many subjects."""
    def bind(self, store_id: bytes, /) -> None:
        """Say which store it is whose values these keys open; once, before the first lease."""
    def fileno(self) -> int:
        """Readable when a reader waits for keys that are not here."""
    def wanted(self) -> list[bytes]:
        """Ids of subjects that readers wait for, each of them once; when `fileno` is readable."""
    def put(
        self, subject: bytes, name: str | None, keys: list[tuple[int, bytes]], epoch: int, /
    ) -> bool:
        """Put in all versions of the key of a subject; none: the key store does not know it.

        Args:
            subject: Its id, of 16 bytes.
            name: Its name, if it is active.
            keys: Versions and keys of 32 bytes.
            epoch: That of the time when they were looked for. If keys were taken out since, nothing
                is put in: False.
        """
    def put_erased(self, name: str, subject: bytes, /) -> None:
        """Put in that the keys of the subject with this name are gone."""
    def fail(self, subject: bytes, problem: str, /) -> None:
        """Tell who waits for the keys of a subject that they cannot be had now:
        KEYS_UNAVAILABLE.
        """
    def erase(self, subject: bytes, /) -> None:
        """Take out the keys of a subject for good."""
    def evict_all(self) -> None:
        """Take out everything: what is used next is looked for anew."""
    def renew(self, until_us: int, /) -> None:
        """Prolong the lease up to a time of `boottime`."""
    def end_lease(self) -> None:
        """End the lease now."""
    @property
    def is_leased(self) -> bool:
        """Whether keys may be used."""
    @property
    def epoch(self) -> int:
        """Goes up whenever keys are taken out."""
    def take_failed(self) -> int:
        """Events whose values could not be opened although they should, since it was last asked."""
    def add_failed(self, count: int, /) -> None:
        """Put back what was taken and not stored."""
    def may_leave(self, epoch: int, /) -> bool:
        """Whether what was opened in an epoch may leave the process."""
    def seal_kept(
        self, place: tuple[bytes, str, str], state: bytes, whose: bytes, /
    ) -> bytes | None:
        """The text of a state as it may be kept; None: it may not.

        Args:
            place: Id of its last event, kept digest of the fold, digest of the mappings.
            state: JSON text.
            whose: See `FoldResult.whose`.
        """
    def open_kept(
        self, place: tuple[bytes, str, str], text: bytes, /
    ) -> tuple[bytes | None, bytes]:
        """The state that was kept as a text, and whose values went into it. None: with the id of a
        subject, its keys must be brought first; without, nobody can read it any more.
        KEYS_UNAVAILABLE without a lease.
        """
