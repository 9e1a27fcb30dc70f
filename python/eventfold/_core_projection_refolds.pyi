"""The part of the Rust core that verifies projections, folds parked events, and tries documents
out, for the server; not a module of its own: `eventfold._core` has all of it, on Unix.

Calls begin with a future of the caller's event loop, as those of `Reader`.
"""

from typing import Any, Final, final

@final
class ProjectionVerifier:
    """A comparison of a generation with a fold from scratch."""

    def go_on(self, future: Any) -> None:
        """Work for a moment: `ProjectionComparison`, None if the generation is gone."""

@final
class ProjectionComparison:
    """How far a comparison has come; without `done` the rest is empty.

    Attributes:
        position: Position up to which events were looked at; where single streams are read, the
            like share of `to_position`.
        to_position: Position at which table and fold are compared.
        done: Nothing is left.
        rows_shown: Rows that are shown.
        rows_hidden: Rows that are not.
        keys_checked: Keys that were folded afresh.
        table_checksum: SHA-256 of their rows as the table has them.
        fold_checksum: The same of their rows as folded afresh.
        keys_differing: Number of keys that differ.
        differing: The first 100 of them, in byte order.
    """

    position: Final[int]
    to_position: Final[int]
    done: Final[bool]
    rows_shown: Final[int]
    rows_hidden: Final[int]
    keys_checked: Final[int]
    table_checksum: Final[str]
    fold_checksum: Final[str]
    keys_differing: Final[int]
    differing: Final[list[str]]

@final
class ProjectionRetry:
    """A retry of parked keys under a lease."""

    def go_on(self, future: Any) -> None:
        """Try the next keys, in one transaction: `ProjectionRetried`."""

@final
class ProjectionRetried:
    """What one transaction of a retry came to.

    Attributes:
        mended: Keys that are parked no longer.
        events: Their events.
        failed: Keys that failed again.
        done: No key is left.
        fenced: The lease is somebody else's, or the generation is gone: nothing was written.
    """

    mended: Final[int]
    events: Final[int]
    failed: Final[int]
    done: Final[bool]
    fenced: Final[bool]

@final
class ProjectionTrial:
    """A trial of a document."""

    def go_on(self, future: Any) -> None:
        """Fold for a moment: `ProjectionTried`."""
    def rows(self, future: Any) -> None:
        """Give out what came of it, and end it: `ProjectionTriedRows`."""

@final
class ProjectionTried:
    """How far a trial has come.

    Attributes:
        position: Position up to which events were looked at.
        events: Events that were folded.
        done: It does not go on.
        stopped: Why folding ended behind `position`: JSON with reason, message and facts. None: it
            did not fail.
    """

    position: Final[int]
    events: Final[int]
    done: Final[bool]
    stopped: Final[str | None]

@final
class ProjectionTriedRows:
    """What came of a trial; an element of each list for each row that is shown.

    Attributes:
        keys: Their keys, in byte order.
        versions: Versions of the last events that touched them.
        positions: Positions of these.
        columns: For each column of the document the texts of its values.
        hidden: Number of the other rows.
        parked: Key, error as JSON, position of the event that failed, and number of events, of the
            first 100 keys that were parked, in byte order.
    """

    keys: Final[list[str]]
    versions: Final[list[int]]
    positions: Final[list[int]]
    columns: Final[list[list[str | None]]]
    hidden: Final[int]
    parked: Final[list[tuple[str, str, int, int]]]
