"""Calls on what is stored of subjects."""

from collections.abc import AsyncIterator

from eventfold import _privacy_methods as methods
from eventfold._async.connection import AsyncConnection
from eventfold._core import CallError
from eventfold._errors import UnexpectedAnswer
from eventfold._events import RecordedEvent, event_page
from eventfold._keys import SubjectInfo
from eventfold._methods import Safety
from eventfold._subjects import ExportedSchema, FoundSubject, PrivacyStatus, SubjectEvents
from eventfold.v1 import subjects_pb2 as pb


class AsyncSubjectCalls:
    """The calls of the service `Subjects`; each can raise `KeysNotConfigured`."""

    _connection: AsyncConnection

    async def find_subject(
        self, subject: str, *, page_size: int = 1_000, timeout: float | None = None
    ) -> FoundSubject:
        """Says in which streams and types events with sealed values of a subject are. Needs the
        permission `personal`.

        Args:
            subject: the subject, named like a stream.
            page_size: entries fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.

        Raises:
            SubjectNotFound: it never had a key.
            SubjectIndexBehind: the log was not looked through yet.
        """
        request = pb.FindSubjectRequest(subject=subject, page_size=page_size)
        events: list[SubjectEvents] = []
        while True:
            page = await self._connection.unary(methods.FIND_SUBJECT, request, timeout)
            events += map(SubjectEvents._from_wire, page.events)
            if not page.next_page_token:
                info = SubjectInfo._from_wire(page.subject)
                return FoundSubject(info, tuple(events), page.position)
            request.page_token = page.next_page_token

    async def export_subject(
        self,
        subject: str,
        *,
        linked: bool = False,
        raw: bool = False,
        timeout: float | None = None,
    ) -> AsyncIterator[RecordedEvent | ExportedSchema]:
        """All events with sealed values of a subject, in the order of their positions, with these
        values opened and those of all others withheld; before the first event of a type its schema,
        if it has one. Each call is noted in `$audit`. Needs the permission `personal`.

        When the connection breaks, it goes on behind the last event that came.

        Args:
            subject: the subject, named like a stream.
            linked: also all events of the subject's own stream, of the periods in one line with it,
                and of streams that are linked to them.
            raw: events as they are stored, without the mappings in force.
            timeout: seconds in which something new has to come. Default: that of the client.

        Raises:
            SubjectNotFound: it never had a key.
            SubjectNotActive: it is being erased, or was.
            SubjectIndexBehind: the log was not looked through yet.
            ExportTooLarge: with `linked`, too many streams belong to it.
            EventCorrupt: a value is not what was sealed, or its key is lost.
        """
        request = pb.ExportSubjectRequest(subject=subject, linked=linked, raw=raw)
        numbers = self._connection.settings.numbers
        seconds = self._connection.timeout(timeout)
        told: set[str] = set()
        failures = 0
        while True:
            has_progress = False
            call = self._connection.stream(methods.EXPORT_SUBJECT, request, seconds)
            try:
                while (message := await call.next()) is not None:
                    page = event_page(message, numbers)
                    rest = pb.ExportSubjectResponse.FromString(page.rest)
                    for schema in rest.schemas:
                        # A call that goes on tells schemas again.
                        if schema.event_type not in told:
                            told.add(schema.event_type)
                            yield ExportedSchema._from_wire(schema)
                    for event in page.events(0):
                        has_progress = True
                        request.after_position = event.position
                        yield event
                    if rest.HasField("end"):
                        return
                raise UnexpectedAnswer("the answer stopped without its last message")
            except CallError as error:
                failure = self._connection.failure(error, seconds, Safety.READ)
            finally:
                call.cancel()
            failures = 0 if has_progress else failures + 1
            await self._connection.pause_or_raise(failure, failures)

    async def get_privacy_status(self, *, timeout: float | None = None) -> PrivacyStatus:
        """How personal data fares in the store: figures of subjects, keys, erasures and openings
        that failed.

        Args:
            timeout: seconds for the call. Default: that of the client.
        """
        request = pb.GetPrivacyStatusRequest()
        answer = await self._connection.unary(methods.GET_PRIVACY_STATUS, request, timeout)
        return PrivacyStatus._from_wire(answer)
