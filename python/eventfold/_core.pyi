"""The Rust core: bytes in, bytes out. `rust/eventfold-py` implements exactly these names."""

__all__ = ["CoreError", "limits", "version"]

class CoreError(Exception):
    """A refusal by the core: its reason in the catalogue, a sentence for people, the facts."""

    reason: str
    message: str
    facts: dict[str, str]

def limits() -> dict[str, int]:
    """All limits of the core, by lower-case name with the unit last."""

def version() -> str:
    """The version of the core, which is the version of the distribution."""
