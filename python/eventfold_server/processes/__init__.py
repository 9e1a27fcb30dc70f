"""Child processes that end with this one, whatever way it ends. Linux and macOS."""

from eventfold_server.processes.child import BARE_ENVIRONMENT, Child, Command

__all__ = ["BARE_ENVIRONMENT", "Child", "Command"]
