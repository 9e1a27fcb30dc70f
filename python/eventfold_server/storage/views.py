"""How stored events come to who reads them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """How events come to a reader."""

    # As they are stored, without the mappings in force.
    raw: bool = False
    # With their personal values; else these are withheld.
    personal: bool = False


# For whatever runs by itself, and for what comes to nobody as an event.
OPEN = View(personal=True)
# Nobody's permission is known.
WITHHELD = View()
