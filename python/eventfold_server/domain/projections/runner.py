"""Builds projections: takes generations that nobody has, and keeps them up with the log."""

from eventfold_server import limits
from eventfold_server.domain.leases import LeaseLoop
from eventfold_server.domain.projections.builder import Builder, Verifier
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.domain.tail import Tail
from eventfold_server.storage.projections import Claimed, ProjectionStorage
from eventfold_server.storage.projector import Projector


class Runner(LeaseLoop[Claimed]):
    """The generations that one server process builds."""

    def __init__(
        self,
        storage: ProjectionStorage,
        projector: Projector,
        documents: Documents,
        tail: Tail,
        verifier: Verifier | None = None,
        *,
        lease_s: float = limits.PROJECTION_LEASE_S,
        look_pause_s: float = limits.PROJECTION_LOOK_PAUSE_S,
    ) -> None:
        builder = Builder(
            storage,
            projector,
            documents,
            tail,
            verifier,
            lease_s=lease_s,
            look_pause_s=look_pause_s,
        )
        super().__init__(
            storage,
            builder.build,
            "projections",
            sweep=lambda: storage.sweep(wait_s=limits.PROJECTION_VIEW_WAIT_S_MIN),
            lease_s=lease_s,
            look_pause_s=look_pause_s,
        )
