"""Where a watch of a stream stands, so that a broken one goes on where it was. No I/O."""

from collections.abc import Sequence

from eventfold._generated.errors import StoreIncarnationChanged
from eventfold.v1 import folds_pb2 as pb


class Watching:
    """Follows a watch: the state that was taken last, and what to ask for when the call breaks.

    A broken call begins again at the version that was taken last, inclusive, and compares the id of
    its event: a store that lost its tail in between is noticed.
    """

    def __init__(self, request: pb.WatchRequest) -> None:
        self._request = request
        self._last: pb.HistoricState | None = None
        # Whether the state that was taken last has to come by once more.
        self._unproven = False

    @property
    def version(self) -> int:
        """Version of the state that was taken last; 0: none, or the initial one."""
        return 0 if self._last is None else self._last.version

    @property
    def position(self) -> int:
        """Position of its event; 0 without one."""
        return 0 if self._last is None else self._last.position

    @property
    def event_id(self) -> str:
        """Id of its event; empty without one."""
        return "" if self._last is None else self._last.event_id

    def request(self) -> pb.WatchRequest:
        """The request for what is still to come."""
        request = pb.WatchRequest()
        request.CopyFrom(self._request)
        self._unproven = self.version > 0
        if self._last is not None:
            # Behind the initial state comes that after the first event.
            request.from_version = max(1, self.version)
        return request

    @property
    def is_unproven(self) -> bool:
        """Whether it is still to be seen that the store has the event that was taken last."""
        return self._unproven

    def accept(self, message: pb.WatchResponse) -> Sequence[pb.HistoricState]:
        """The states of a message that are new.

        Raises:
            StoreIncarnationChanged: the event that was taken last is another one than before.
        """
        states: Sequence[pb.HistoricState] = message.states
        if states and self._unproven:
            first = states[0]
            if (first.version, first.event_id) != (self.version, self.event_id):
                raise self.changed()
            self._unproven = False
            states = states[1:]
        if self._last is None:
            return states
        return [state for state in states if state.version > self.version]

    def take(self, state: pb.HistoricState) -> None:
        """Hands out a state."""
        self._last = state

    def changed(self) -> StoreIncarnationChanged:
        """The error of a log that lost what was taken."""
        return StoreIncarnationChanged(
            f"the event at position {self.position} was read, and is now missing or another one",
            {"token_position": self.position},
        )
