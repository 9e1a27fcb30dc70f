"""Calls on privacy rules: which values of events are personal."""

from collections.abc import AsyncIterator, Callable

from eventfold import _privacy_methods as methods
from eventfold._async.connection import AsyncConnection
from eventfold._async.schemas import TRIAL_TIMEOUT_S
from eventfold._async.streaming import last_report
from eventfold._privacy import (
    ExistingValues,
    PrivacyRules,
    PrivacyRulesCheck,
    PrivacyRulesPut,
    existing_of,
)
from eventfold._requests import whole
from eventfold._schemas import TrialProgress, telling
from eventfold._sources import Document, source_or_file
from eventfold.v1 import privacy_pb2 as pb


class AsyncPrivacyCalls:
    """The calls of the service `Privacy`."""

    _connection: AsyncConnection

    async def put_privacy_rules(
        self,
        source: Document,
        *,
        existing: ExistingValues = "refuse",
        undeclare: bool = False,
        on_progress: Callable[[TrialProgress], object] | None = None,
        timeout: float | None = TRIAL_TIMEOUT_S,
    ) -> PrivacyRulesPut:
        """Puts the privacy rules of the event type or category that their document names in force:
        its personal values are sealed from now on.

            store.put_privacy_rules({"privacy": "UserRegistered", "personal": {"/email": None}})

        The same again changes nothing.

        Args:
            source: path of a YAML or JSON document, or the document as a mapping or as text of
                several lines; at most 64 KiB.
            existing: what becomes of them if stored events hold plaintext of these fields.
            undeclare: that fields which are declared now, and not by this document, are personal no
                more.
            on_progress: called now and then, while stored events are tried.
            timeout: seconds for all of it. Default: an hour.

        Returns:
            The rules in force, and what they do not protect.

        Raises:
            InvalidPrivacyRules: the document says nothing that can be followed.
            PrivacyRulesTooLarge, InvalidEventType: see there.
            PlaintextStored: stored events hold plaintext; the facts have their number.
            PrivacyDeclaredTwice: the schema of the type declares its personal fields.
            PersonalUndeclared: a field would be personal no more.
            StorageFull, OutcomeUnknown: see there.
            OSError: the file cannot be read.
        """
        request = pb.PutPrivacyRulesRequest(
            source=source_or_file(source), existing=existing_of(existing), undeclare=undeclare
        )
        answer = await last_report(
            self._connection, methods.PUT_PRIVACY_RULES, request, telling(on_progress), timeout
        )
        return PrivacyRulesPut._from_wire(answer)

    async def check_privacy_rules(
        self,
        source: Document,
        *,
        events_max: int = 10,
        on_progress: Callable[[TrialProgress], object] | None = None,
        timeout: float | None = TRIAL_TIMEOUT_S,
    ) -> PrivacyRulesCheck:
        """Says what `put_privacy_rules` would do, and tries all stored events in any case.

        Args:
            source: as in `put_privacy_rules`.
            events_max: most events with plaintext to report, 1 to 1,000.
            on_progress: called now and then, while stored events are tried.
            timeout: seconds for all of it. Default: an hour.

        Raises:
            InvalidPrivacyRules, PrivacyRulesTooLarge, InvalidEventType, InvalidRequest: see there.
            OSError: the file cannot be read.
        """
        request = pb.CheckPrivacyRulesRequest(
            source=source_or_file(source), events_max=whole(events_max, "events_max")
        )
        answer = await last_report(
            self._connection, methods.CHECK_PRIVACY_RULES, request, telling(on_progress), timeout
        )
        return PrivacyRulesCheck._from_wire(answer)

    async def get_privacy_rules(
        self,
        event_type: str | None = None,
        *,
        category: str | None = None,
        revision: int = 0,
        timeout: float | None = None,
    ) -> PrivacyRules:
        """Returns the privacy rules of an event type, or of a category.

        Args:
            event_type: the event type; or
            category: the category.
            revision: which revision, from 1. 0, the default: the one in force.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            PrivacyRulesNotFound: there are none in force, or none of this revision.
        """
        request = pb.GetPrivacyRulesRequest(revision=whole(revision, "revision"))
        if event_type is not None and category is None:
            request.event_type = event_type
        elif category is not None and event_type is None:
            request.category = category
        else:
            raise TypeError("name an event type or a category")
        answer = await self._connection.unary(methods.GET_PRIVACY_RULES, request, timeout)
        return PrivacyRules._from_wire(answer.rules)

    async def list_privacy_rules(
        self, *, page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[PrivacyRules]:
        """Lists the privacy rules in force, fetching page after page: those of event types in byte
        order, then those of categories.

        Args:
            page_size: rules fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListPrivacyRulesRequest(page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_PRIVACY_RULES, request, timeout)
            for rules in page.rules:
                yield PrivacyRules._from_wire(rules)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def drop_privacy_rules(
        self,
        event_type: str | None = None,
        *,
        category: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Takes the privacy rules of an event type, or of a category, out of force: values of later
        events are stored as plaintext.

        Args:
            event_type: the event type; or
            category: the category.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            PrivacyRulesNotFound: there are none in force.
            PrivacyDeclaredTwice: the schema of the type declares them; put one that does not.
            OutcomeUnknown: see there.
        """
        request = pb.DropPrivacyRulesRequest()
        if event_type is not None and category is None:
            request.event_type = event_type
        elif category is not None and event_type is None:
            request.category = category
        else:
            raise TypeError("name an event type or a category")
        await self._connection.unary(methods.DROP_PRIVACY_RULES, request, timeout)
