"""Names of streams."""

from eventfold._generated.errors import InvalidStreamName


def stream_name(category: str, id: str) -> str:
    """The name of the stream of an aggregate, `category-id`.

    Raises:
        InvalidStreamName: the category holds a `-` (the rest of it would become part of the
            id), or one of the two is empty.
    """
    if not category or "-" in category:
        problem = "the category is empty" if not category else "the category holds a `-`"
        raise InvalidStreamName(problem, {"problem": problem})
    if not id:
        raise InvalidStreamName("the id is empty", {"problem": "the id is empty"})
    return f"{category}-{id}"
