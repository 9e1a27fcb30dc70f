"""Conditions over personal values: which events pass tells of them."""

from collections.abc import Collection, Sequence
from typing import Protocol

from eventfold import _core
from eventfold_server.domain.requests import PERSONAL
from eventfold_server.errors import Refusal
from eventfold_server.storage.views import View


class Source(Protocol):
    """Of what events a condition is. Of a list None demands nothing."""

    @property
    def stream(self) -> str | None:
        """The stream."""

    @property
    def categories(self) -> Sequence[str] | None:
        """The categories."""

    @property
    def types(self) -> Sequence[str] | None:
        """The event types."""


def refuse_personal(
    condition: _core.Filter, declared: Collection[_core.Personal], source: Source, view: View
) -> None:
    """PERSONAL_WITHHELD for a condition that reads a field of the data which is declared personal,
    for somebody to whom such values do not come. One that finds its way to them otherwise is held
    to withheld values.
    """
    if view.personal:
        return
    categories = source.categories
    if source.stream is not None:
        categories = [_core.check_stream_name(source.stream, system=True)]
    for personal in declared:
        event_type, category = personal.event_type, personal.category
        if event_type is not None and source.types and event_type not in source.types:
            continue
        if category is not None and categories and category not in categories:
            continue
        for field in condition.reads(personal.names):
            facts = {"type": event_type} if category is None else {"category": category}
            raise Refusal(
                "PERSONAL_WITHHELD",
                f"the condition reads `{field}`, which is personal: that needs the permission"
                f" {PERSONAL}",
                field=field,
                permission=PERSONAL,
                **facts,
            )
