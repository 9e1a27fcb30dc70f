"""Several server processes behind one address: reserved, started, watched and stopped."""

from eventfold_server.workers.supervisor import WorkerFailed, Workers

__all__ = ["WorkerFailed", "Workers"]
