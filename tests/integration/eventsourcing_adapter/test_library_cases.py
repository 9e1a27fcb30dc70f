"""Goal: the recorders are what the library expects of recorders.

Method: the library's own test cases, each test on an empty store of a real server.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

import pytest
from eventsourcing.persistence import AggregateRecorder, Tracking
from eventsourcing.popo import POPOTrackingRecorder

# As modules: a test case that stands here by its name is run by that name too.
from eventsourcing.tests import application as applications
from eventsourcing.tests import persistence as cases
from eventsourcing.tests import projection as projections
from eventsourcing.utils import Environment

import eventfold
from eventfold.integrations.eventsourcing import (
    EventfoldAggregateRecorder,
    EventfoldApplicationRecorder,
    EventfoldProcessRecorder,
    EventfoldSnapshotRecorder,
    EventfoldTrackingRecorder,
    Factory,
)

MODULE = "eventfold.integrations.eventsourcing"


class OnAStore:
    """A store for each test, and the environment that leads to it."""

    client: eventfold.Client
    env: ClassVar[dict[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _store(self, store: eventfold.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = store
        variables = {"PERSISTENCE_MODULE": MODULE, "EVENTFOLD_SERVER": store.target}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(type(self), "env", variables, raising=False)


class TestAggregateRecorder(OnAStore, cases.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return EventfoldAggregateRecorder(self.client)


class TestAggregateRecorderWithTexts(TestAggregateRecorder):
    INITIAL_VERSION = 0

    def new_originator_id(self) -> str:
        return f"account/{uuid4()}"


class TestSnapshotRecorder(OnAStore, cases.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return EventfoldSnapshotRecorder(self.client)


class TestApplicationRecorder(
    OnAStore, cases.ApplicationRecorderTestCase[EventfoldApplicationRecorder]
):
    def create_recorder(self) -> EventfoldApplicationRecorder:
        return EventfoldApplicationRecorder(self.client)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithTexts(TestApplicationRecorder):
    INITIAL_VERSION = 0

    def new_originator_id(self) -> str:
        # Like a UUID, and yet to come back as a text.
        return str(uuid4())


class TestNonInterleaving(OnAStore, cases.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> EventfoldApplicationRecorder:
        return EventfoldApplicationRecorder(self.client)


class TestTrackingRecorder(OnAStore, cases.TrackingRecorderTestCase):
    def create_recorder(self) -> EventfoldTrackingRecorder:
        return EventfoldTrackingRecorder(self.client)


class TestProcessRecorder(OnAStore, cases.ProcessRecorderTestCase):
    def create_recorder(self) -> EventfoldProcessRecorder:
        return EventfoldProcessRecorder(self.client)


class TestProcessRecorderAsTracking(OnAStore, cases.TrackingRecorderTestCase):
    def create_recorder(self) -> EventfoldProcessRecorder:
        return EventfoldProcessRecorder(self.client)


class TestProcessRecorderAsApplication(
    OnAStore, cases.ApplicationRecorderTestCase[EventfoldProcessRecorder]
):
    def create_recorder(self) -> EventfoldProcessRecorder:
        return EventfoldProcessRecorder(self.client)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class Subclassed(EventfoldTrackingRecorder):
    """A tracking recorder of an application's own."""


class TestFactory(OnAStore, cases.InfrastructureFactoryTestCase[Factory]):
    def setUp(self) -> None:
        self.env = Environment("TestCase", dict(type(self).env))
        super().setUp()

    def expected_factory_class(self) -> type[Factory]:
        return Factory

    def expected_aggregate_recorder_class(self) -> type[EventfoldAggregateRecorder]:
        return EventfoldAggregateRecorder

    def expected_application_recorder_class(self) -> type[EventfoldApplicationRecorder]:
        return EventfoldApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[EventfoldTrackingRecorder]:
        return EventfoldTrackingRecorder

    def tracking_recorder_subclass(self) -> type[EventfoldTrackingRecorder]:
        return Subclassed

    def expected_process_recorder_class(self) -> type[EventfoldProcessRecorder]:
        return EventfoldProcessRecorder


class TestExampleApplication(OnAStore, applications.ExampleApplicationTestCase):
    expected_factory_topic = f"{MODULE}._factory:Factory"


@pytest.mark.filterwarnings("default::DeprecationWarning")
class TestApplications(OnAStore, applications.ApplicationTestCase):
    """Application, repository and cache."""


class TestEventSourcedProjection(OnAStore, projections.EventSourcedProjectionTestCase):
    """An application that counts the events of another one, through a process recorder."""


class Counters(POPOTrackingRecorder, projections.EventCountersView):
    """A view elsewhere than in eventfold, with its trackings beside what it counts."""

    def __init__(self) -> None:
        super().__init__()
        self.created = self.subsequent = 0

    def get_created_event_counter(self) -> int:
        return self.created

    def get_subsequent_event_counter(self) -> int:
        return self.subsequent

    def incr_created_event_counter(self, tracking: Tracking) -> None:
        with self._database_lock:
            self.insert_tracking(tracking)
            self.created += 1

    def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
        with self._database_lock:
            self.insert_tracking(tracking)
            self.subsequent += 1


class TestProjection(OnAStore, projections.AggregateEventCountersProjectionTestCase):
    view_class = Counters

    @pytest.fixture(autouse=True)
    def _view_elsewhere(self, _store: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EVENTCOUNTERS_PERSISTENCE_MODULE", "eventsourcing.popo")
