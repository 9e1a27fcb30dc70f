"""What privacy rules do not protect, and what they change for those who read."""

from dataclasses import dataclass
from enum import IntEnum

from eventfold import _core
from eventfold_server.domain.groups.condition import compiled
from eventfold_server.domain.privacy.declaring import Declaration, Found
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.limits import LIST_PAGE_SIZE_MAX
from eventfold_server.storage.groups import GroupSpec, GroupStorage
from eventfold_server.storage.projections import ProjectionStorage


class Kind(IntEnum):
    """What a warning is about, as the proto numbers it."""

    TAGS = 1
    METADATA = 2
    SUBJECT_NAMES = 3
    NO_SUBJECT = 4
    PROJECTION_KEY = 5
    PROJECTION_FIELD = 6
    GROUP_CONDITION = 7


@dataclass(frozen=True)
class PrivacyWarning:
    """Something that rules do not protect, or that they change."""

    kind: Kind
    message: str
    # Of the projection or group; empty: it is about stored events.
    name: str = ""
    # The field at the top of the data; `*`: any; empty: none.
    field: str = ""
    events: int = 0


class Warnings:
    """Finds what to warn of among the readers of one store."""

    def __init__(
        self, groups: GroupStorage, projections: ProjectionStorage, documents: Documents
    ) -> None:
        self._groups = groups
        self._projections = projections
        self._documents = documents

    async def of(self, declaration: Declaration) -> list[PrivacyWarning]:
        """All that there is to be said of rules whose events were tried."""
        personal = declaration.personal
        warnings = of_events(declaration.found)
        fields = sorted(set(personal.names))
        warnings += await self._of_projections(personal, fields)
        warnings += await self._of_groups(personal, fields)
        return warnings

    async def _of_projections(
        self, personal: _core.Personal, fields: list[str]
    ) -> list[PrivacyWarning]:
        warnings: dict[tuple[Kind, str, str], PrivacyWarning] = {}
        after = ""
        while True:
            projections = await self._projections.page(after, LIST_PAGE_SIZE_MAX)
            for projection in projections:
                for row in projection.generations:
                    document = await self._documents.of(row)
                    for event_type in _types(document, personal):
                        for one in _of_projection(document, projection.name, event_type, fields):
                            warnings[one.kind, one.name, one.field] = one
            if len(projections) < LIST_PAGE_SIZE_MAX:
                return list(warnings.values())
            after = projections[-1].name

    async def _of_groups(self, personal: _core.Personal, fields: list[str]) -> list[PrivacyWarning]:
        warnings: list[PrivacyWarning] = []
        after = ""
        while True:
            groups = await self._groups.page(after, LIST_PAGE_SIZE_MAX)
            for group in groups:
                spec = group.spec
                condition = compiled(spec.condition)
                if condition is None or not _is_read(spec, personal):
                    continue
                warnings += [
                    PrivacyWarning(
                        Kind.GROUP_CONDITION,
                        f"the condition of the group {group.name} reads {_named(name)}: it is open"
                        " to whoever may create groups which events it lets pass",
                        group.name,
                        name,
                    )
                    for name in condition.reads(fields)
                ]
            if len(groups) < LIST_PAGE_SIZE_MAX:
                return warnings
            after = groups[-1].name


def of_events(found: Found) -> list[PrivacyWarning]:
    """What stored events say that the rules do not protect."""
    told = [
        (Kind.TAGS, found.tagged, "have tags, which are never sealed"),
        (Kind.METADATA, found.with_metadata, "have metadata of their own, which is never sealed"),
        (
            Kind.SUBJECT_NAMES,
            found.personal_names,
            "are of subjects whose names look personal; names stand in the log as they are",
        ),
        (
            Kind.NO_SUBJECT,
            found.subjectless,
            "do not say whose a personal value is; new ones like them are refused",
        ),
    ]
    return [
        PrivacyWarning(kind, f"{events} stored events {message}", events=events)
        for kind, events, message in told
        if events
    ]


def _named(field: str) -> str:
    return "the data" if field == "*" else f"`{field}`"


def _types(document: _core.Projection, personal: _core.Personal) -> list[str]:
    """The event types that a projection folds of those that rules can be about."""
    if personal.event_type is not None:
        return [personal.event_type]
    categories = document.categories
    return document.types if categories is None or personal.category in categories else []


def _is_read(spec: GroupSpec, personal: _core.Personal) -> bool:
    """Whether events that rules are about can be of a group."""
    if personal.event_type is not None:
        return spec.types is None or personal.event_type in spec.types
    if spec.stream is not None:
        return _core.check_stream_name(spec.stream, system=True) == personal.category
    return spec.categories is None or personal.category in spec.categories


def _of_projection(
    document: _core.Projection, name: str, event_type: str, fields: list[str]
) -> list[PrivacyWarning]:
    of_key = [
        PrivacyWarning(
            Kind.PROJECTION_KEY,
            f"the key of the projection {name} reads {_named(field)}, and keys are never sealed",
            name,
            field,
        )
        for field in document.key_reads(event_type, fields)
    ]
    of_fold = [
        PrivacyWarning(
            Kind.PROJECTION_FIELD,
            f"the projection {name} reads {_named(field)}: a column that derives from it can be"
            " neither filtered nor ordered",
            name,
            field,
        )
        for field in document.fold_reads(event_type, fields)
    ]
    return of_key + of_fold
