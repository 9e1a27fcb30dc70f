"""Which store copies are meant for."""

from collections.abc import Mapping
from uuid import UUID

from eventfold_server.errors import Refusal
from eventfold_server.storage.remote import RemoteStore


def other_store(store_id: UUID, problem: str) -> Refusal:
    """The refusal of a store that is not the one that copies are meant for."""
    return Refusal(
        "TRANSFORM_TARGET_STORE",
        "the store is not the one that the copies are meant for",
        store_id=store_id,
        problem=problem,
    )


def known_target(targets: Mapping[str, RemoteStore], name: str) -> RemoteStore:
    """The other server of this name; TRANSFORM_TARGET_UNKNOWN."""
    if name not in targets:
        raise Refusal(
            "TRANSFORM_TARGET_UNKNOWN", "this server knows no other one of this name", target=name
        )
    return targets[name]
