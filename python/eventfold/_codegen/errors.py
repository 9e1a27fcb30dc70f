"""Why no code can be made."""


class GenerateFailed(Exception):
    """Code cannot be made of the schemas, or a tool for it is missing. `facts` say more."""

    def __init__(self, message: str, **facts: str) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts
