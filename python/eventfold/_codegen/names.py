"""Names of classes, made of names of event types and of places in schemas."""

import builtins
import keyword
import re
from urllib.parse import unquote

# What generated modules import, or might; what TypeScript has by itself.
_PYTHON = (
    "Annotated Any BaseModel ConfigDict Decimal Enum Field Final Literal Model Optional RootModel "
    "StringConstraints TypeAlias TypeVar UUID Union dataclass date datetime field time timedelta"
)
_TYPESCRIPT = (
    "Array Boolean Date Error EventTypes Function Infer Map Number Object Promise Record RegExp "
    "Set String Symbol"
)
_RESERVED = frozenset([*_PYTHON.split(), *_TYPESCRIPT.split(), *dir(builtins), *keyword.kwlist])
# Steps of pointers that say nothing of what stands behind them.
_STEPS = frozenset(
    [
        "$defs",
        "additionalProperties",
        "allOf",
        "anyOf",
        "definitions",
        "items",
        "oneOf",
        "patternProperties",
        "prefixItems",
        "properties",
    ]
)


def class_name(text: str) -> str:
    """The text as a name of a class: its words together, each with a capital letter."""
    words = [word for word in re.split(r"[^\w]|_", text) if word]
    name = "".join(word[0].upper() + word[1:] for word in words)
    if not name.isidentifier():
        # It begins with a digit, or holds a letter that names may not have.
        name = "Event" + "".join(c for c in name if f"_{c}".isidentifier())
    return name


def last_part(address: str) -> str:
    """The last part of the URI or JSON Pointer of a schema that says what it is; empty: none."""
    path, _, pointer = address.partition("#")
    for step in reversed(pointer.split("/")):
        if step and step not in _STEPS and not step.isdecimal():
            return unquote(step)
    # Without suffixes such as `.schema.json`.
    return re.split(r"[/:]", path.rstrip("/"))[-1].split(".")[0]


class Names:
    """Names that are taken."""

    def __init__(self) -> None:
        self._taken: set[str] = set(_RESERVED)

    def take(self, wanted: str, owner: str = "") -> str:
        """A name that is free, as near to what is wanted as can be; `owner` is what it belongs
        to.
        """
        name = wanted
        if name in self._taken and owner:
            name = owner + wanted
        elif name in self._taken:
            name = wanted + "Event"
        number = 2
        free = name
        while free in self._taken:
            free = f"{name}{number}"
            number += 1
        self._taken.add(free)
        return free
