"""Puts the parts together that serve one store: storage, domain, services, and what goes on beside
the calls.
"""

from collections.abc import Mapping
from typing import Any

from eventfold.v1 import (
    consumer_groups_pb2,
    deletion_pb2,
    erasure_pb2,
    event_store_pb2,
    event_types_pb2,
    folds_pb2,
    keys_pb2,
    links_pb2,
    privacy_pb2,
    projections_pb2,
    references_pb2,
    subjects_pb2,
    subscriptions_pb2,
    transforms_pb2,
)
from eventfold_server.domain.append import Appender
from eventfold_server.domain.audit import Audit
from eventfold_server.domain.closing import Closer
from eventfold_server.domain.compensation import Compensations
from eventfold_server.domain.copy_readers import CopyReaders
from eventfold_server.domain.deletion.admin import DeletionAdmin
from eventfold_server.domain.deletion.runner import DeletionRunner
from eventfold_server.domain.erasure.admin import ErasureAdmin
from eventfold_server.domain.erasure.runner import ErasureRunner
from eventfold_server.domain.event_types import trials as event_types
from eventfold_server.domain.event_types.mappings import Mappings
from eventfold_server.domain.event_types.said import Sayings
from eventfold_server.domain.event_types.schemas import Schemas
from eventfold_server.domain.folding import FoldRegistry
from eventfold_server.domain.groups.admin import GroupAdmin
from eventfold_server.domain.groups.consuming import Consumers
from eventfold_server.domain.history import Historian
from eventfold_server.domain.hydrate import Hydrator
from eventfold_server.domain.kept import KeptStates
from eventfold_server.domain.lines import Lines
from eventfold_server.domain.links import LinkFollowing, Links
from eventfold_server.domain.many import Many
from eventfold_server.domain.privacy.administration import KeyAdmin
from eventfold_server.domain.privacy.cleanup import Cleanup
from eventfold_server.domain.privacy.holds import LegalHolds
from eventfold_server.domain.privacy.keys import PersonalKeys
from eventfold_server.domain.privacy.rules import PrivacyRules
from eventfold_server.domain.privacy.states import PersonalStates
from eventfold_server.domain.privacy.status import PrivacyMonitor
from eventfold_server.domain.privacy.subject_index import SubjectIndex
from eventfold_server.domain.privacy.subjects import Subjects
from eventfold_server.domain.privacy.warnings import Warnings
from eventfold_server.domain.projections.admin import ProjectionAdmin
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.domain.projections.query import ProjectionQueries
from eventfold_server.domain.projections.remapped import Remapped
from eventfold_server.domain.projections.retry import Retries
from eventfold_server.domain.projections.runner import Runner
from eventfold_server.domain.projections.trial import ProjectionTrials
from eventfold_server.domain.projections.verify import Verifications
from eventfold_server.domain.read import Reader
from eventfold_server.domain.references import References
from eventfold_server.domain.starts import Starts
from eventfold_server.domain.streams import Streams
from eventfold_server.domain.subscribe import Subscriptions
from eventfold_server.domain.tail import Tail
from eventfold_server.domain.transforms.admin import TransformAdmin
from eventfold_server.domain.transforms.comparing_states import StateComparison
from eventfold_server.domain.transforms.plans import Planner
from eventfold_server.domain.transforms.receiving import Receiver
from eventfold_server.domain.transforms.runner import TransformRunner
from eventfold_server.domain.type_counts import TypeCounting
from eventfold_server.domain.watch import Watcher
from eventfold_server.services.audit_messages import audit_append, is_duplicate
from eventfold_server.services.consumer_groups import ConsumerGroupsService
from eventfold_server.services.deletion import DeletionService
from eventfold_server.services.erasures import ErasuresService
from eventfold_server.services.event_store import EventStoreService
from eventfold_server.services.event_types import EventTypesService
from eventfold_server.services.folds import FoldsService
from eventfold_server.services.keys import KeysService
from eventfold_server.services.links import LinksService
from eventfold_server.services.privacy import PrivacyService
from eventfold_server.services.projections import ProjectionsService
from eventfold_server.services.references import ReferencesService
from eventfold_server.services.subjects import SubjectsService
from eventfold_server.services.subscriptions import SubscriptionsService
from eventfold_server.services.transforms import TransformsService
from eventfold_server.storage.appends import AppendStorage
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.cleanup import CleanupStorage
from eventfold_server.storage.database import Database
from eventfold_server.storage.deletions import DeletionStorage
from eventfold_server.storage.erasures import ErasureStorage
from eventfold_server.storage.event_types import EventTypeStorage
from eventfold_server.storage.folds import FoldStorage
from eventfold_server.storage.groups import GroupStorage
from eventfold_server.storage.kept import KeptStorage
from eventfold_server.storage.legal_holds import LegalHoldStorage
from eventfold_server.storage.lines import LineStorage
from eventfold_server.storage.links import LinkStorage
from eventfold_server.storage.log import LogStorage
from eventfold_server.storage.notices import Notices
from eventfold_server.storage.privacy import PrivacyStorage
from eventfold_server.storage.projection_rows import ProjectionRows
from eventfold_server.storage.projections import ProjectionStorage
from eventfold_server.storage.projector import Projector
from eventfold_server.storage.references import ReferenceStorage
from eventfold_server.storage.refolding import RefoldStorage
from eventfold_server.storage.remote import RemoteStore
from eventfold_server.storage.sealing import Sealer
from eventfold_server.storage.subject_index import SubjectIndexStorage
from eventfold_server.storage.subjects import SubjectStorage
from eventfold_server.storage.tail import TailStorage
from eventfold_server.storage.transform_writer import TransformWriter
from eventfold_server.storage.transforms import TransformStorage
from eventfold_server.storage.type_counts import TypeCountStorage
from eventfold_server.storage.views import OPEN, WITHHELD
from eventfold_server.storage.writer import Writer
from eventfold_server.targets import TargetAddress


class Store:
    """All parts that serve one store. Nothing is opened until `start`."""

    def __init__(
        self,
        database: Database,
        targets: Mapping[str, TargetAddress],
        keys: PersonalKeys,
    ) -> None:
        """`targets`: other servers that transforms may copy to. `keys`: what personal values are
        sealed under, if the server has a master key.
        """
        self._keys = keys
        self._targets = {name: RemoteStore(address) for name, address in targets.items()}
        self._catalogue = Catalogue(database, keys.keyring, keys.follow)
        self._tail = Tail(TailStorage(database, self._catalogue, OPEN))
        # The same for subscribers without the permission; without keys, nothing is sealed.
        self._withheld = self._tail
        if keys.keyring is not None:
            self._withheld = Tail(TailStorage(database, self._catalogue, WITHHELD))
        self._notices = Notices(database, self._told)
        self._appends = AppendStorage(database)
        sealer = Sealer(self._appends, keys.keyring, keys.loader)
        self._writer = Writer(self._appends, self._catalogue, sealer, self._notices.committed)
        self._log = LogStorage(database, self._catalogue)
        self._line_storage = LineStorage(database)
        self._appender = Appender(
            self._appends, self._writer, self._catalogue, self._line_storage, sealer
        )
        self.audit = Audit(self._appender, audit_append, is_duplicate)
        self._registry = FoldRegistry(FoldStorage(database))
        kept_storage = KeptStorage(database, self._catalogue, keys.keyring, keys.loader)
        self._kept = KeptStates(kept_storage)
        self._starts = Starts(kept_storage, self._registry, self._kept)
        self._lines = Lines(self._line_storage, self._starts, self._registry)
        self._groups = GroupStorage(database, self._catalogue)
        self._group_admin = GroupAdmin(self._groups, self._log)
        self._consumers = Consumers(self._groups, self._group_admin, self._tail)
        self._projections = ProjectionStorage(database)
        self._documents = Documents(self._registry)
        self._projector = Projector(database, self._catalogue)
        self._refolds = RefoldStorage(database)
        self._refolding = (self._projections, self._refolds, self._projector, self._documents)
        self._verifications = Verifications(*self._refolding)
        self._projection_admin = ProjectionAdmin(
            self._projections, self._documents, self._projector
        )
        self._retries = Retries(*self._refolding)
        self._runner = Runner(
            self._projections, self._projector, self._documents, self._tail, self._verifications
        )
        self._type_counts = TypeCounting(TypeCountStorage(database))
        self._transform_storage = TransformStorage(database)
        self._transform_writer = TransformWriter(
            database, self._catalogue, self._notices.committed, sealer
        )
        self._copy_readers = CopyReaders(self._groups, self._projections, self._documents)
        self._transforms = self._transform_runner()
        self._link_storage = LinkStorage(database)
        self._links = LinkFollowing(self._link_storage)
        self._subject_index = SubjectIndex(SubjectIndexStorage(database))
        self._cleanup = self._cleanup_of(CleanupStorage(database))
        self._deletion_storage = DeletionStorage(database)
        self._deletions = DeletionRunner(
            self._deletion_storage, self._cleanup, self._kept, self.audit
        )
        self._erasure_storage = ErasureStorage(database)
        self._erasures = self._erasure_runner()
        self._trials = event_types.Trials(self._log)
        subject_storage = SubjectStorage(database, self._catalogue)
        self.monitor = PrivacyMonitor(keys, subject_storage)
        self.services = self._services(database, subject_storage)

    def _transform_runner(self) -> TransformRunner:
        parts = self._keys.parts
        return TransformRunner(
            self._transform_storage,
            self._transform_writer,
            StateComparison(self._transform_storage, self._lines),
            self._tail,
            self._targets,
            self._copy_readers,
            None if parts is None else parts.store.pseudonym_key,
        )

    def _cleanup_of(self, storage: CleanupStorage) -> Cleanup:
        return Cleanup(
            storage,
            self._kept,
            self._projections,
            self._refolds,
            self._documents,
            self._projection_admin,
            self._retries,
        )

    def _erasure_runner(self) -> ErasureRunner | None:
        parts = self._keys.parts
        if parts is None:
            return None
        parts.leases.forgets(self._kept.forget_all)
        return ErasureRunner(
            parts,
            self._erasure_storage,
            self._deletion_storage,
            self._subject_index,
            self._cleanup,
            self.audit,
            backup_horizon_days=self._keys.backup_horizon_days,
        )

    def _services(
        self, database: Database, subject_storage: SubjectStorage
    ) -> list[tuple[Any, object]]:
        """Each with the module that describes it."""
        reader = Reader(self._log, self._line_storage)
        references = References(ReferenceStorage(database, self._catalogue))
        types = EventTypeStorage(database)
        keys = self._keys
        holds = LegalHolds(keys.parts, LegalHoldStorage(database), self.audit)
        key_admin = KeyAdmin(keys.parts, self.audit, self._erasure_storage.open_id)
        subjects = Subjects(keys, subject_storage, types, self._subject_index, self.audit)
        subscriptions = Subscriptions(self._log, self._tail, self._withheld)
        return [
            (event_store_pb2, self._event_store(reader, references)),
            (folds_pb2, self._folds()),
            (references_pb2, ReferencesService(references, reader)),
            (subscriptions_pb2, SubscriptionsService(subscriptions)),
            (consumer_groups_pb2, ConsumerGroupsService(self._group_admin, self._consumers)),
            (projections_pb2, self._projection_service(database)),
            (event_types_pb2, self._event_types(types)),
            (keys_pb2, KeysService(key_admin)),
            (subjects_pb2, SubjectsService(subjects, self.monitor)),
            (privacy_pb2, self._privacy(PrivacyStorage(database), types)),
            (transforms_pb2, self._transform_service()),
            (links_pb2, LinksService(Links(self._link_storage))),
            (deletion_pb2, self._deletion(holds)),
            (erasure_pb2, self._erasure(holds)),
        ]

    def _projection_service(self, database: Database) -> ProjectionsService:
        rows = ProjectionRows(database, self._keys.keyring, self._keys.loader)
        return ProjectionsService(
            self._projection_admin,
            ProjectionQueries(rows, self._documents, self._tail),
            self._verifications,
            self._retries,
            ProjectionTrials(*self._refolding),
        )

    def _deletion(self, holds: LegalHolds) -> DeletionService:
        return DeletionService(
            DeletionAdmin(self._deletion_storage, self._links, self._cleanup, holds.hashes)
        )

    def _erasure(self, holds: LegalHolds) -> ErasuresService:
        admin = ErasureAdmin(
            self._keys.parts,
            self._erasure_storage,
            self._deletion_storage,
            self._subject_index,
            self._links,
            self._cleanup,
        )
        return ErasuresService(admin, holds)

    def _event_store(self, reader: Reader, references: References) -> EventStoreService:
        appender = self._appender
        committed = self._notices.committed
        return EventStoreService(
            appender,
            Compensations(self._appends, appender, committed),
            reader,
            references,
            Streams(self._log),
            self._tail,
            Closer(self._line_storage, self._lines, appender, committed),
            PersonalStates(self._registry, self._catalogue),
        )

    def _folds(self) -> FoldsService:
        return FoldsService(
            Hydrator(self._log, self._starts, self._lines),
            Historian(self._log, self._starts, self._lines),
            Many(self._log, self._starts, self._lines, self._registry, self._catalogue),
            Watcher(self._log, self._tail, self._starts, self._lines),
            self._registry,
            self._tail,
            PersonalStates(self._registry, self._catalogue),
        )

    def _event_types(self, storage: EventTypeStorage) -> EventTypesService:
        return EventTypesService(
            Schemas(storage, self._trials, has_keys=self._keys.parts is not None),
            Mappings(storage, self._trials, Remapped(self._projections, self._documents)),
            Sayings(storage),
            self._type_counts,
        )

    def _privacy(self, storage: PrivacyStorage, changes: EventTypeStorage) -> PrivacyService:
        warnings = Warnings(self._groups, self._projections, self._documents)
        has_keys = self._keys.parts is not None
        rules = PrivacyRules(storage, changes, self._trials, warnings, has_keys=has_keys)
        return PrivacyService(rules)

    def _transform_service(self) -> TransformsService:
        storage = self._transform_storage
        planner = Planner(storage, self._copy_readers)
        return TransformsService(
            TransformAdmin(
                storage,
                self._registry,
                planner,
                self._targets,
                self._catalogue.declares,
            ),
            Receiver(
                self._appender,
                self._appends,
                storage,
                self._transform_writer,
                self._notices.committed,
            ),
        )

    def _told(self, position: int) -> None:
        """The log has reached the position; 0: it may have moved."""
        self._tail.told(position)
        if self._withheld is not self._tail:
            self._withheld.told(position)

    async def open(self) -> None:
        """What must be there before the first call: not even the first append is stale then."""
        await self._keys.open()
        await self._catalogue.load()
        self._tail.start()
        if self._withheld is not self._tail:
            self._withheld.start()
        self._notices.start()

    def begin_work(self) -> None:
        """Begins what goes on beside the calls."""
        self._kept.start(self._registry)
        self._runner.start()
        self._transforms.start()
        self._links.start()
        self._deletions.start()
        if self._erasures is not None:
            self._subject_index.start()
            self._erasures.start()
        self._type_counts.start()
        self.monitor.start()

    async def end_work(self) -> None:
        """Ends it, and what calls without an end wait for."""
        # First, so that other servers go on with its projections and transforms meanwhile.
        await self._runner.stop()
        await self._transforms.stop()
        if self._erasures is not None:
            await self._erasures.stop()
        await self._deletions.stop()
        await self._links.stop()
        await self._subject_index.stop()
        for target in self._targets.values():
            await target.close()
        await self._projector.close()
        await self._type_counts.stop()
        await self._tail.stop()
        if self._withheld is not self._tail:
            await self._withheld.stop()

    async def close(self) -> None:
        """Closes what the last calls needed."""
        await self._consumers.close()
        await self._writer.close()
        await self._notices.stop()
        await self._kept.stop()
        await self.monitor.stop()
        await self._keys.close()
