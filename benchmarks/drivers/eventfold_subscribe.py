"""Catches up by `Subscribe`, through grpcio's blocking client.

Frames stay the bytes that came: the SDK's pages index their events, and decode the data of those
that are touched.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc
import protocol

from eventfold._core import EventPage
from eventfold.v1 import subscriptions_pb2 as pb

_METHOD = "/eventfold.v1.Subscriptions/Subscribe"
_OPTIONS = [("grpc.max_receive_message_length", 4 * 1024 * 1024)]


class Caller:
    """One subscriber at a time."""

    def __init__(self, address: str) -> None:
        channel = grpc.insecure_channel(address.removeprefix("http://"), options=_OPTIONS)
        # Without a deserializer a message is what came.
        self._subscribe = channel.unary_stream(
            _METHOD, request_serializer=pb.SubscribeRequest.SerializeToString
        )

    def begin(self, stream: str) -> None:
        """Nothing is appended."""

    def catch_up_counted(self) -> int:
        """The events from the first to the head."""
        return self._catch_up(decode=False)

    def catch_up(self) -> int:
        """The same, the data of each decoded."""
        return self._catch_up(decode=True)

    def _catch_up(self, *, decode: bool) -> int:
        count = 0
        call: Any = self._subscribe(pb.SubscribeRequest())
        for frame in call:
            page = EventPage(frame)
            count += len(page)
            if decode:
                for event in page.events():
                    _ = event.data
            # Frames without events are small, and tell when the head is reached.
            if not page and pb.SubscribeResponse.FromString(frame).kind == pb.FRAME_KIND_CAUGHT_UP:
                break
        call.cancel()
        return count


def main() -> None:
    """Address of the server as the only argument."""
    address = sys.argv[1]
    protocol.serve(protocol.Callers(lambda: Caller(address)).run, None)


if __name__ == "__main__":
    main()
