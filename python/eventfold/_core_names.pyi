"""Names: what `eventfold._core` re-exports of them."""

def check_event_type(name: str, /) -> None:
    """Check an event type that clients may append.

    Args:
        name: At most 128 bytes of UTF-8, without control characters, not beginning with `$`.

    Raises:
        CoreError: INVALID_EVENT_TYPE.
    """

def check_stream_name(name: str, *, system: bool = False) -> str:
    """Check the name of a stream; return its category.

    Args:
        name: `category-id`, at most 255 bytes of UTF-8.
        system: Also pass names that start with `$`: for reading, never for appending. The
            category of such a name is the text before its first `-`, or all of it.

    Raises:
        CoreError: INVALID_STREAM_NAME.
    """
