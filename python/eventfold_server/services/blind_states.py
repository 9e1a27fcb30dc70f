"""Answers with states, for callers who may not see personal values."""

from collections.abc import Sequence

from eventfold.v1 import folds_pb2 as pb
from eventfold_server.domain.privacy.states import Blinds


async def withheld_from(
    blinds: Blinds, stream: str, holders: Sequence[pb.HydrateResponse | pb.HistoricState]
) -> None:
    """Withholds what can be personal of states of a stream, in their messages."""
    states = [(one.state, list(one.erased_paths), list(one.withheld_paths)) for one in holders]
    found = await blinds.withhold(stream, states)
    for holder, (state, erased, withheld) in zip(holders, found, strict=True):
        holder.state = state
        holder.erased_paths[:] = erased
        holder.withheld_paths[:] = withheld


async def blind_states(blinds: Blinds, stream: str, encoded: bytes) -> bytes:
    """A part of an answer to `HydrateHistory` or `Watch`, whose messages are alike, as it may
    leave.
    """
    message = pb.HydrateHistoryResponse.FromString(encoded)
    await withheld_from(blinds, stream, message.states)
    return message.SerializeToString()
