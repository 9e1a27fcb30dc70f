"""The recorders of an application, made of environment variables."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from eventsourcing.domain import DomainEventProtocol, TAggregateID
from eventsourcing.persistence import (
    AggregateRecorder,
    EventStore,
    InfrastructureFactory,
    Mapper,
    Recording,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic, strtobool

from eventfold import Client, InvalidValue
from eventfold.integrations.eventsourcing._aggregates import EventfoldAggregateRecorder
from eventfold.integrations.eventsourcing._applications import EventfoldApplicationRecorder
from eventfold.integrations.eventsourcing._errors import translated
from eventfold.integrations.eventsourcing._snapshots import EventfoldSnapshotRecorder
from eventfold.integrations.eventsourcing._states import Names
from eventfold.integrations.eventsourcing._tracking import (
    EventfoldProcessRecorder,
    EventfoldTrackingRecorder,
)

RecorderT = TypeVar("RecorderT")

DEFAULT_CATEGORY = "aggregate"
# `category_snapshots` is a category too.
_CATEGORY_CHARS_MAX = 54
_DIGEST_CHARS = 8
_SECONDS_MAX = 60
# A name, an IPv4 address, or an IPv6 address in brackets.
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):([0-9]{1,5})")


class EventfoldEventStore(EventStore[TAggregateID]):
    """An event store that tells of its events in the order of the log."""

    def put(
        self, domain_events: Sequence[DomainEventProtocol[TAggregateID]], **kwargs: Any
    ) -> list[Recording[TAggregateID]]:
        """Stores events, all or none; returns them in the order of their notification ids.

        Those of one aggregate are neighbours in the log, wherever they stand among
        `domain_events`. Runners hand the recordings to followers one after the other, and a
        follower that has tracked an id takes none below it any more.
        """
        recordings = super().put(domain_events, **kwargs)
        return sorted(recordings, key=lambda recording: recording.notification.id)


class Factory(InfrastructureFactory[EventfoldTrackingRecorder]):
    """Recorders over one client, chosen by
    `PERSISTENCE_MODULE=eventfold.integrations.eventsourcing`.

    The variables, each of which may be prefixed by the name of the application in capitals, as in
    `ORDERS_EVENTFOLD_SERVER`:

    - `EVENTFOLD_SERVER`: address of the server, `host:port`. Required.
    - `EVENTFOLD_TOKEN`: the token that says who calls. Default: none.
    - `EVENTFOLD_TLS`: yes: TLS with the usual authorities. Default: no.
    - `EVENTFOLD_TLS_CA`: file of the authorities in PEM; means TLS. Default: none.
    - `EVENTFOLD_INSECURE`: yes: the token may travel in plain text to another machine. Default: no.
    - `EVENTFOLD_TIMEOUT`: seconds for a call with its repetitions, above 0 and at most 60.
      Default: 10.
    - `EVENTFOLD_CATEGORY`: category of the streams, 1 to 54 ASCII letters, digits and `_`. Default:
      the name of the application, or `aggregate` if it has none. Where the name could be no
      category: `_` in place of all else, cut, and with `_` and 8 digits of its SHA-256.

    Args:
        env: the variables, and the name of the application.

    Raises:
        OSError: a variable is missing or means nothing.
        ProgrammingError: a token would travel in plain text.
    """

    EVENTFOLD_SERVER = "EVENTFOLD_SERVER"
    EVENTFOLD_TOKEN = "EVENTFOLD_TOKEN"  # noqa: S105 - the name of a variable
    EVENTFOLD_TLS = "EVENTFOLD_TLS"
    EVENTFOLD_TLS_CA = "EVENTFOLD_TLS_CA"
    EVENTFOLD_INSECURE = "EVENTFOLD_INSECURE"
    EVENTFOLD_TIMEOUT = "EVENTFOLD_TIMEOUT"
    EVENTFOLD_CATEGORY = "EVENTFOLD_CATEGORY"

    aggregate_recorder_class = EventfoldAggregateRecorder
    snapshot_recorder_class = EventfoldSnapshotRecorder
    application_recorder_class = EventfoldApplicationRecorder
    tracking_recorder_class = EventfoldTrackingRecorder
    process_recorder_class = EventfoldProcessRecorder

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        server = self.env.get(self.EVENTFOLD_SERVER)
        if not server:
            names = ", ".join(self.env.create_keys(self.EVENTFOLD_SERVER))
            raise OSError(f"the address of the server is missing in the environment: {names}")
        address = _SERVER.fullmatch(server)
        if address is None or not 0 < int(address[2]) < 65_536:
            raise OSError(f"{self.EVENTFOLD_SERVER}: {server!r} is no host:port")
        self.category = self._category()
        authorities = self.env.get(self.EVENTFOLD_TLS_CA)
        with translated():
            try:
                self.client = Client(
                    server,
                    token=self.env.get(self.EVENTFOLD_TOKEN) or None,
                    tls=Path(authorities) if authorities else self._truth(self.EVENTFOLD_TLS),
                    insecure=self._truth(self.EVENTFOLD_INSECURE),
                    timeout=self._seconds(),
                )
            except InvalidValue as error:
                raise OSError(f"a variable EVENTFOLD_.. means nothing: {error}") from error

    def _truth(self, name: str) -> bool:
        try:
            return strtobool(self.env.get(name) or "no")
        except ValueError as error:
            raise OSError(f"{name}: {error}") from None

    def _seconds(self) -> float:
        text = self.env.get(self.EVENTFOLD_TIMEOUT) or "10"
        try:
            seconds = float(text)
        except ValueError:
            raise OSError(f"{self.EVENTFOLD_TIMEOUT}: {text!r} is no number") from None
        if not 0 < seconds <= _SECONDS_MAX:
            problem = f"{text!r} is not above 0 and at most {_SECONDS_MAX}"
            raise OSError(f"{self.EVENTFOLD_TIMEOUT}: {problem}")
        return seconds

    def _category(self) -> str:
        own = _category_of(self.env.name)
        category = self.env.get(self.EVENTFOLD_CATEGORY) or own or DEFAULT_CATEGORY
        try:
            Names(category)
        except ValueError as error:
            raise OSError(f"{self.EVENTFOLD_CATEGORY}: {error}") from None
        if len(category) > _CATEGORY_CHARS_MAX:
            problem = f"{category!r} has more than {_CATEGORY_CHARS_MAX} characters"
            raise OSError(f"{self.EVENTFOLD_CATEGORY}: {problem}")
        return category

    def _class(self, variable: str, default: type[RecorderT]) -> type[RecorderT]:
        topic = self.env.get(variable)
        if not topic:
            return default
        found: type[RecorderT] = resolve_topic(topic)
        return self._checked(found, default)

    @staticmethod
    def _checked(found: type[RecorderT], base: type[RecorderT]) -> type[RecorderT]:
        if not issubclass(found, base):
            raise TypeError(f"{found!r} is no subclass of {base.__name__}")
        return found

    def event_store(
        self,
        mapper: Mapper[TAggregateID] | None = None,
        recorder: AggregateRecorder | None = None,
    ) -> EventStore[TAggregateID]:
        """An event store whose recordings stand in the order of the log.

        Args:
            mapper: Default: that which the variables name.
            recorder: Default: that of the application.
        """
        return EventfoldEventStore(mapper or self.mapper(), recorder or self.application_recorder())

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """A recorder of aggregates alone.

        Args:
            purpose: `events`: sequences without gaps, in the factory's category. Any other, such as
                `snapshots`: sequences with gaps, in the category `category_purpose`.
        """
        if purpose == "events":
            return self.aggregate_recorder_class(self.client, self.category)
        return self.snapshot_recorder_class(self.client, f"{self.category}_{purpose}")

    def application_recorder(self) -> EventfoldApplicationRecorder:
        """A recorder of the class that `APPLICATION_RECORDER_TOPIC` names, if any.

        Raises:
            TypeError: the class is no subclass of ours.
        """
        cls = self._class(self.APPLICATION_RECORDER_TOPIC, self.application_recorder_class)
        return cls(self.client, self.category)

    def tracking_recorder(
        self, tracking_recorder_class: type[EventfoldTrackingRecorder] | None = None
    ) -> EventfoldTrackingRecorder:
        """A recorder of the given class, or of that which `TRACKING_RECORDER_TOPIC` names, if any.

        Raises:
            TypeError: the class is no subclass of ours.
        """
        base = self.tracking_recorder_class
        if tracking_recorder_class is None:
            tracking_recorder_class = self._class(self.TRACKING_RECORDER_TOPIC, base)
        return self._checked(tracking_recorder_class, base)(self.client, self.category)

    def process_recorder(self) -> EventfoldProcessRecorder:
        """A recorder of the class that `PROCESS_RECORDER_TOPIC` names, if any.

        Raises:
            TypeError: the class is no subclass of ours.
        """
        cls = self._class(self.PROCESS_RECORDER_TOPIC, self.process_recorder_class)
        return cls(self.client, self.category)

    def close(self) -> None:
        """Ends the connection, which all of its recorders share."""
        self.client.close()


def _category_of(name: str) -> str:
    """The category of an application's events, another one for each name."""
    category = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if category == name and len(name) <= _CATEGORY_CHARS_MAX:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARS]
    return f"{category[: _CATEGORY_CHARS_MAX - 1 - _DIGEST_CHARS]}_{digest}"
