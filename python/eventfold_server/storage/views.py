"""How stored events come to who reads them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """How events come to a reader."""

    # As they are stored, without the mappings in force.
    raw: bool = False
    # With their personal values; else these are withheld.
    personal: bool = False
    # With what the rules say in place of what was erased; else it is absent.
    replaced: bool = True


# For whatever runs by itself, and for what comes to nobody as an event.
OPEN = View(personal=True)
# As they were sent, without what was erased since.
SENT = View(raw=True, personal=True, replaced=False)
# Nobody's permission is known.
WITHHELD = View()
