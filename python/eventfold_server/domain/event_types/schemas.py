"""Schemas of event types: put in force, checked, found."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from eventfold import _core
from eventfold_server.domain import requests
from eventfold_server.domain.event_types.compiling import Compiler, stored
from eventfold_server.domain.event_types.putting import Putting
from eventfold_server.domain.event_types.said import check_event_type
from eventfold_server.domain.event_types.trials import (
    Attempt,
    Misfit,
    Progress,
    Trial,
    Trials,
    Tried,
    progress,
)
from eventfold_server.domain.event_types.verdict import Asks, Verdict
from eventfold_server.domain.folding import in_thread
from eventfold_server.domain.privacy.annotated import Annotated
from eventfold_server.domain.privacy.declaring import Declaration, beside, check_sight
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.limits import SCHEMA_ID_BYTES_MAX
from eventfold_server.storage.event_types import (
    Change,
    EventTypeStorage,
    MappingRow,
    NewSchema,
    SchemaRow,
)
from eventfold_server.storage.privacy import PrivacyRulesRow

# What the domain knows of a schema is its row.
Schema = SchemaRow

# What is tried where it is only asked whether there are events.
_ANYTHING = _core.Schema("true", [], False)


@dataclass(frozen=True)
class Asked:
    """A schema that is to be put, or checked."""

    # Empty: it is shared.
    event_type: str
    source: str
    formats: bool
    # Whether it is known that stored events hold plaintext of what it declares personal.
    accepts_plaintext: bool = False
    # Whether fields may be personal no more.
    undeclares: bool = False


@dataclass(frozen=True)
class SchemaPut:
    """What became of a put."""

    schema: Schema
    # Whether it is a new revision.
    created: bool
    # To the schema that was in force before.
    differences: Sequence[_core.SchemaDifference]
    # What it declares personal.
    annotated: Annotated
    progress: Progress


@dataclass(frozen=True)
class SchemaChecked:
    """What a put would come to."""

    differences: Sequence[_core.SchemaDifference]
    # What stored events say; None of a shared schema.
    trial: Trial | None
    refused: Refusal | None
    progress: Progress


@dataclass(frozen=True)
class Basis:
    """What a new schema is held against: the schema, the mapping and the privacy rules in force."""

    schema: SchemaRow | None
    mapping: MappingRow | None
    privacy: PrivacyRulesRow | None


@dataclass
class SchemaCandidate:
    """A schema that is to be put in force; see `Candidate`."""

    new: NewSchema
    basis: Basis
    verdict: Verdict
    annotated: Annotated
    trial: Trial | None
    by: str

    def refusal(self) -> Refusal | None:
        """Why stored events refuse it."""
        return self.verdict.refusal(self.trial) or self.annotated.refusal()

    async def holds(self, change: Change) -> bool:
        """Whether its basis is still in force."""
        schema = await change.schema(self.new.type, self.new.schema_id)
        if self.new.type is None:
            return Basis(schema, None, None) == self.basis
        mapping = await change.mapping(self.new.type)
        privacy = await change.privacy(self.new.type, None)
        return Basis(schema, mapping, privacy) == self.basis

    async def store(self, change: Change) -> SchemaRow:
        """Stores it as the next revision, and what it declares personal."""
        before = self.basis.schema
        await self.annotated.store(change, self.by)
        if before is not None and before.digest == self.new.digest:
            return before
        revision = 1 if before is None else before.revision + 1
        misfits = 0 if self.trial is None else self.trial.misfits
        return await change.put_schema(self.new, revision, misfits, self.by)


class Schemas:
    """The schemas of one store."""

    def __init__(self, storage: EventTypeStorage, trials: Trials, *, has_keys: bool) -> None:
        """`has_keys`: whether there is a master key, without which nothing is declared personal."""
        self._storage = storage
        self._trials = trials
        self._putting = Putting(storage, trials)
        self._compiler = Compiler(storage)
        self._has_keys = has_keys

    async def put(
        self, caller: Caller, asked: Asked, *, accept_misfits: bool
    ) -> AsyncGenerator[Progress | SchemaPut]:
        """Puts a schema in force. Tells how far that is, and at the end what became of it.

        INVALID_SCHEMA and its kin, SCHEMA_INCOMPATIBLE; PLAINTEXT_STORED and its kin,
        KEYS_NOT_CONFIGURED.
        """
        new, compiled = await self._read(asked)
        head = await self._trials.head()
        while True:
            basis = await self._basis(new)
            before = basis.schema
            annotated = await self._annotated(asked, compiled, basis)
            if (refusal := annotated.refusal()) is not None:
                raise refusal
            is_same = before is not None and before.digest == new.digest
            if before is not None and is_same and not annotated.changes:
                yield SchemaPut(before, False, (), annotated, progress(None, head))
                return
            differences = [] if is_same else await self._differences(compiled, before)
            verdict = Verdict.of(asked.event_type, differences, accepts_misfits=accept_misfits)
            trial = self._trial(
                asked.event_type,
                compiled,
                basis,
                verdict.asks,
                annotated.tried,
                opens=caller.personal,
            )
            candidate = SchemaCandidate(new, basis, verdict, annotated, trial, caller.writer)
            async with aclosing(self._putting.put(candidate, head)) as steps:
                async for step in steps:
                    if isinstance(step, Progress):
                        yield step
                        continue
                    done = progress(trial, head)
                    yield SchemaPut(step.row, not is_same, verdict.differences, annotated, done)
                    return

    async def check(
        self, caller: Caller, asked: Asked, misfits_max: int
    ) -> AsyncGenerator[Progress | SchemaChecked]:
        """Tries all stored events of the type; at the end, what a put would come to."""
        new, compiled = await self._read(asked)
        basis = await self._basis(new)
        if new.type is not None:
            is_personal = await self._storage.may_be_personal(new.type)
            method = "/eventfold.v1.EventTypes/CheckSchema"
            check_sight(caller, is_personal=is_personal, method=method)
        annotated = await self._annotated(asked, compiled, basis)
        differences = await self._differences(compiled, basis.schema)
        verdict = Verdict.of(asked.event_type, differences, accepts_misfits=False)
        head = await self._trials.head()
        if new.type is None:
            yield SchemaChecked(verdict.differences, None, None, progress(None, head))
            return
        async with self._trials.checks:
            trial = self._trial(
                asked.event_type,
                compiled,
                basis,
                Asks.FIT,
                annotated.tried,
                misfits_max,
                opens=caller.personal,
            )
            assert trial is not None
            async with aclosing(trial.go_on(head)) as steps:
                async for _ in steps:
                    yield progress(trial, head)
            refused = verdict.refusal(trial) or annotated.refusal()
            yield SchemaChecked(verdict.differences, trial, refused, progress(trial, head))

    async def get(self, event_type: str | None, schema_id: str | None, revision: int) -> Schema:
        """A revision of the schema of the event type, or if that is None of the shared one; 0 is
        the newest.
        """
        if event_type is not None:
            check_event_type(event_type)
        found = await self._storage.schema(event_type, schema_id, revision)
        if found is None:
            raise Refusal(
                "SCHEMA_NOT_FOUND",
                "there is no such schema" + (" in this revision" if revision else ""),
                type=event_type,
                id=schema_id,
                revision=revision or None,
            )
        return found

    async def page(
        self, after_type: str | None, after_id: str, size: int
    ) -> tuple[list[Schema], bool]:
        """Newest revisions: of event types behind `after_type` (None: of none), then of shared ones
        behind `after_id`; and whether there are more.
        """
        return await self._storage.schemas(after_type, after_id, size)

    async def _read(self, asked: Asked) -> tuple[NewSchema, _core.Schema]:
        if asked.event_type:
            check_event_type(asked.event_type)
        compiled, resources = await self._compiler.compile(asked.source, formats=asked.formats)
        if not asked.event_type and compiled.id is None:
            raise requests.invalid("event_type", "is required for a schema without `$id`")
        if len((compiled.id or "").encode()) > SCHEMA_ID_BYTES_MAX:
            raise Refusal(
                "INVALID_SCHEMA",
                f"`$id` has more than {SCHEMA_ID_BYTES_MAX} bytes",
                path="/$id",
                problem="too_long",
            )
        new = NewSchema(
            type=asked.event_type or None,
            schema_id=compiled.id,
            digest=compiled.digest,
            source=asked.source,
            resources=resources,
            draft=compiled.draft,
            formats=asked.formats,
        )
        return new, compiled

    async def _basis(self, new: NewSchema) -> Basis:
        schema = await self._storage.schema(new.type, new.schema_id)
        if new.type is None:
            return Basis(schema, None, None)
        mapping = await self._storage.mapping(new.type)
        return Basis(schema, mapping, await self._storage.privacy(new.type))

    async def _annotated(self, asked: Asked, compiled: _core.Schema, basis: Basis) -> Annotated:
        return await Annotated.of(
            asked.event_type,
            compiled,
            basis.privacy,
            accepts_plaintext=asked.accepts_plaintext,
            undeclares=asked.undeclares,
            has_keys=self._has_keys,
        )

    async def _differences(
        self, new: _core.Schema, before: SchemaRow | None
    ) -> list[_core.SchemaDifference] | None:
        if before is None:
            return None
        # Of shared ones nobody knows what they describe.
        older = await stored(before)
        compare = partial(new.compare, older, events=before.type is not None)
        return await in_thread(None, compare)

    def _trial(
        self,
        event_type: str,
        compiled: _core.Schema,
        basis: Basis,
        asks: Asks,
        declaration: Declaration | None,
        misfits_max: int = 1,
        *,
        opens: bool = False,
    ) -> Trial | None:
        """What answers a question to the stored events; None: nothing is asked. `declaration`: what
        they are asked too; where there may be none at all, that answers both.
        """
        if asks is Asks.NOTHING and declaration is None:
            return None
        if asks is Asks.NOTHING and declaration is not None:
            return self._trials.trial(event_type, beside(declaration, None))
        if asks is Asks.NONE:
            # Deleted events are none, here as there.
            return self._trials.trial(event_type, attempt(_ANYTHING, None), first_only=True)
        row = basis.mapping
        mapping = None if row is None else _core.Mapping.stored(row.type, row.digest, row.source)
        fits = attempt(compiled, mapping)
        if declaration is not None:
            fits = beside(declaration, fits)
        return self._trials.trial(event_type, fits, misfits_max=misfits_max, opens=opens)


def attempt(schema: _core.Schema, mapping: _core.Mapping | None) -> Attempt:
    """Tries whether stored events fit, as they are read."""

    def fits(batch: _core.Batch, room: int) -> Tried:
        tried = schema.try_batch(batch, mapping, room)
        first = [
            Misfit(
                stream,
                version,
                position,
                event_id,
                violations,
                None if error is None else Refusal.of_core(error),
            )
            for stream, version, position, event_id, violations, error in tried.first
        ]
        return Tried(tried.events, tried.misfits, 0, first)

    return fits
