"""Key providers: who holds the master keys that wrap data keys."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from eventfold_server.errors import Refusal

# A key that protects nothing.
_PROBE = bytes(32)


@dataclass(frozen=True)
class Wrapped:
    """A key as it is stored: readable only to whom the provider lets use the master key."""

    # Which master key wrapped it, in words that name the provider and the version too.
    master_key: str
    wrapped: bytes = field(repr=False)


class KeyProvider(ABC):
    """Wraps keys of 32 bytes, and unwraps them again. It never gives a master key away.

    `context` is bound to what is wrapped, and must be the same again: a wrapped key that was moved
    to another subject or version does not unwrap.
    """

    @abstractmethod
    async def wrap_all(self, keys: Sequence[tuple[bytes, bytes]]) -> list[Wrapped]:
        """Wraps keys, each told with its context, under the newest master key.

        Raises Refusal (KEYS_UNAVAILABLE) if one of them cannot be wrapped.
        """

    @abstractmethod
    async def unwrap_all(self, keys: Sequence[tuple[Wrapped, bytes]]) -> list[bytes | Refusal]:
        """Unwraps keys, each told with its context. A key that cannot be unwrapped is a refusal in
        its place, so that it does not keep others from being used.

        Raises Refusal (KEYS_UNAVAILABLE) if the provider cannot be asked at all.
        """

    @abstractmethod
    async def newest(self) -> str:
        """Which master key wraps now, as `Wrapped.master_key` tells it."""

    @abstractmethod
    async def lacks(self, master_keys: Sequence[str]) -> list[str]:
        """Those of some master keys, told as in `Wrapped.master_key`, that it does not have or must
        not use.
        """

    async def wrap(self, key: bytes, context: bytes) -> Wrapped:
        """Wraps one key."""
        [wrapped] = await self.wrap_all([(key, context)])
        return wrapped

    async def unwrap(self, key: Wrapped, context: bytes) -> bytes:
        """Unwraps one key."""
        [unwrapped] = await self.unwrap_all([(key, context)])
        if isinstance(unwrapped, Refusal):
            raise unwrapped
        return unwrapped

    async def check(self) -> None:
        """Wraps a key of no worth and unwraps it, as it is to be used.

        Raises Refusal (KEYS_UNAVAILABLE) if that does not work, or if a key unwraps with another
        context than it was wrapped with: an old Vault passes over what it does not know.
        """
        wrapped = await self.wrap(_PROBE, b"eventfold probe")
        right, wrong = await self.unwrap_all(
            [(wrapped, b"eventfold probe"), (wrapped, b"another probe")]
        )
        if right != _PROBE:
            problem = right if isinstance(right, Refusal) else None
            raise problem or unavailable("not_unwrapped", wrapped.master_key, "the probe changed")
        if not isinstance(wrong, Refusal):
            raise unavailable(
                "not_bound", wrapped.master_key, "the key provider does not bind keys to a context"
            )

    async def close(self) -> None:
        """Closes what it has open."""
        return


def unavailable(problem: str, master_key: str, message: str) -> Refusal:
    """The refusal for a key that cannot be wrapped or unwrapped now; it holds nothing of a key."""
    return Refusal("KEYS_UNAVAILABLE", message, problem=problem, master_key=master_key)
