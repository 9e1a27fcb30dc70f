"""Clients that leave while a message is on its way to them."""

import logging


class _Leavers(logging.Filter):
    """Lets everything pass but what gRPC says of a message that nobody takes any more: a client may
    leave at any time, and the server notices by the end of the call.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or kind.__name__ != "ExecuteBatchError"


_LEAVERS = _Leavers()


def keep_quiet_about_leavers() -> None:
    """Takes clients that leave out of the log; calling twice is allowed."""
    logging.getLogger("grpc._cython.cygrpc").addFilter(_LEAVERS)
