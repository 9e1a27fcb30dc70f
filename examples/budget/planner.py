"""The budget planner: it says what transactions were for, and copies nothing of them.

`plan-<id of the event TransactionBooked>` is the stream of what is planned for a transaction.
"""

from pathlib import Path
from typing import Any

from eventfold import Client, Event, References

CATEGORY = "plan"
FOLD = Path(__file__).with_name("plan.fold.yaml")


def demand(store: Client) -> None:
    """Demands that what a tag refers to is there, whoever appends it.

    Not of TransactionUntagged: what was said once can always be taken back.
    """
    store.put_event_type(
        "TransactionTagged",
        description="Somebody said what a transaction was for.",
        references="enforce",
    )


def tag(store: Client, booked_id: str, purpose: str | None) -> int:
    """Says what a transaction was for, in place of what was said before; None: nothing any more.

    The position of the last event; 0: it was said already. ReferenceNotFound: no such event.
    """

    def decide(plan: Any) -> list[Event]:
        if plan["purpose"] == purpose:
            return []
        events = []
        if plan["tagged"] is not None:
            untagged = {"txBookedEventId": booked_id, "txTaggedEventId": plan["tagged"]}
            refs = References([booked_id, plan["tagged"]])
            events.append(Event("TransactionUntagged", untagged, refs=refs))
        if purpose is not None:
            tagged = {"txBookedEventId": booked_id, "purpose": purpose}
            events.append(Event("TransactionTagged", tagged, refs=References([booked_id])))
        return events

    appended = store.retry(CATEGORY, booked_id, decide, fold=FOLD)
    return appended.positions[-1] if appended else 0
