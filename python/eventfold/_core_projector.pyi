"""The part of the Rust core that builds projections, for the server; not a module of its own:
`eventfold._core` has all of it, on Unix.
"""

from typing import Any, Final, final

from eventfold._core import (
    Projection,
    ProjectionMarks,
    ProjectionRetry,
    ProjectionTrial,
    ProjectionVerifier,
    ReadRules,
)

@final
class Projector:
    """Connections that read events and write the rows of projections, and the thread that does it.

    Calls begin with a future of the caller's event loop, as those of `Reader`.
    """

    def __new__(
        cls, read: dict[str, Any], write: dict[str, Any], aside: dict[str, Any]
    ) -> Projector:
        """Start the thread; connections are made when they are needed.

        Args:
            read: Settings of connections for events, as `Reader` takes them.
            write: Settings of connections for rows.
            aside: Settings of connections for verifications, retries and trials.

        Raises:
            ValueError: TLS cannot be set up as asked for.
        """
    def fileno(self) -> int: ...
    def take(self) -> list[tuple[Any, bool, Any]]:
        """Take what was answered, as `Reader.take`."""
    def worker(
        self,
        projection: Projection,
        *,
        generation_no: int,
        lease: int,
        statements: dict[str, str],
        bounds: dict[str, float],
        sealed: list[bool],
    ) -> ProjectionWorker:
        """Make who builds a generation under a lease.

        Args:
            projection: The document.
            generation_no: Number of the generation.
            lease: The fencing token.
            statements: By what they are for; `python/eventfold_server/storage/projector.py` shows
                the keys.
            bounds: Of a step: `page_bytes`, `page_age_s`, `window`, `span`, `cache_bytes`,
                `rows_bytes`; `batch_bytes`, `batch_events`, `batch_s`, `batches`; `lease_s` and
                `quiet_s`. Of what folds beside: `sheet_bytes`, `draw_s`, `retry_keys` and
                `retry_events`.
            sealed: Of each column, whether its values are sealed in the table.
        """
    def verifier(
        self,
        projection: Projection,
        *,
        generation_no: int,
        statements: dict[str, str],
        bounds: dict[str, float],
        sealed: list[bool],
        rules: ReadRules,
        marks: ProjectionMarks,
        verify: dict[str, str],
        keys_max: int,
    ) -> ProjectionVerifier:
        """Make who compares a generation with a fold from scratch of at most so many keys.

        Args:
            projection: The document.
            generation_no: Number of the generation.
            statements: As for `worker`.
            bounds: As for `worker`.
            sealed: As for `worker`.
            rules: How events are read.
            marks: What can be personal under these rules.
            verify: Further statements.
            keys_max: Most keys.
        """
    def retry(
        self,
        projection: Projection,
        *,
        generation_no: int,
        lease: int,
        statements: dict[str, str],
        bounds: dict[str, float],
        sealed: list[bool],
        rules: ReadRules,
        marks: ProjectionMarks,
        retry: dict[str, str],
        keys: list[str] | None,
    ) -> ProjectionRetry:
        """Make who retries parked keys under a lease; None: all. Else as `verifier`."""
    def trial(
        self,
        projection: Projection,
        *,
        statements: dict[str, str],
        bounds: dict[str, float],
        sealed: list[bool],
        rules: ReadRules,
        marks: ProjectionMarks,
        after: int,
        up_to: int,
        events_max: int,
    ) -> ProjectionTrial:
        """Make who tries a document with at most so many events behind a position, up to another
        that is not above the head. Else as `verifier`.
        """
    def step(
        self,
        future: Any,
        worker: ProjectionWorker,
        up_to: int,
        rules: ReadRules,
        marks: ProjectionMarks,
    ) -> None:
        """Go on by a few transactions, up to a position: `ProjectionStep`. StaleRules if there are
        other rules. `marks`: what can be personal under the rules.
        """
    def forget(self, future: Any, worker: ProjectionWorker) -> None:
        """Drop what is remembered, behind the step under way; answer None."""
    def close(self) -> None:
        """End the thread; what is under way is answered with an error."""

@final
class ProjectionWorker:
    """Who builds one generation under one lease."""

@final
class ProjectionStep:
    """What a step came to.

    Attributes:
        position: Position up to which the generation is, as the database has it.
        events: Events that were folded, or put onto lists of parked keys.
        rows: Rows that were written or removed.
        parked: Keys that were parked.
        done: No event of the source is left up to where the step was to go.
        fenced: The lease is somebody else's, or the generation is gone: nothing more was written.
        stopped: Why the generation stopped: JSON with reason, message and facts. None: it did not.
    """

    position: Final[int]
    events: Final[int]
    rows: Final[int]
    parked: Final[int]
    done: Final[bool]
    fenced: Final[bool]
    stopped: Final[str | None]

def failpoints() -> list[str]:
    """The points of Rust at which a test can have the process kill itself."""
