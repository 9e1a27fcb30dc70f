"""Events whose data are objects of classes, one for each event type."""

import dataclasses
import datetime as dt
import sys
import typing
import uuid
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from eventfold._dataclasses import Misfit, fit
from eventfold._errors import StateMismatch
from eventfold._events import Event, RecordedEvent
from eventfold._json import decode
from eventfold._models import Convert, converter, kind_of

# What `Event` encodes by itself, and better.
_ENCODED = (Decimal, dt.datetime, dt.date, uuid.UUID)


class TypedEvents:
    """Event types and their classes, such as `EVENT_TYPES` of a module that `eventfold generate
    python` has written.

        EVENTS = TypedEvents(EVENT_TYPES)
        store.append(stream, [EVENTS.event(MoneyDeposited(amount=amount))], expected_version=7)
        for event in store.read(stream):
            match EVENTS.data(event):
                case MoneyDeposited(amount=amount): ...

    Args:
        classes: the class of each event type: a dataclass, a pydantic model, a msgspec Struct; or
            a union of dataclasses.
    """

    def __init__(self, classes: Mapping[str, Any]) -> None:
        # More than one, where schemas of event types are nothing but references to a shared one.
        self._types: dict[Any, list[str]] = {}
        self._convert: dict[str, Convert] = {}
        for event_type, model in classes.items():
            for member in typing.get_args(model) or (model,):
                self._types.setdefault(member, []).append(event_type)
            is_class = kind_of(model) is not None
            self._convert[event_type] = converter(model) if is_class else _fitting(model)

    def event(
        self,
        data: object,
        *,
        type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        id: str | uuid.UUID | None = None,
        occurred_at: dt.datetime | None = None,
    ) -> Event:
        """An event of the type that has the class of the object, with it as data.

        Members that are None, and need not be there, are left out.

        Args:
            data: the object.
            type: the event type; needed only where several have the class.
            metadata: as in `Event`.
            tags: as in `Event`.
            id: as in `Event`.
            occurred_at: as in `Event`.

        Raises:
            TypeError: no event type has this class, or not that one, or several have it.
            InvalidValue: as for `Event`.
        """
        name = data.__class__.__name__
        known = self._types.get(data.__class__, [])
        if not known:
            raise TypeError(f"no event type has the class {name}")
        if type is None and len(known) > 1:
            raise TypeError(f"{', '.join(known)} have the class {name}: say which by `type`")
        if type is not None and type not in known:
            raise TypeError(f"{type} has not the class {name}")
        event_type = known[0] if type is None else type
        return Event(event_type, _plain(data), metadata, tags, id, occurred_at)

    def data(self, event: Event | RecordedEvent) -> Any:
        """The data of an event as an object of the class of its type.

        Returns:
            None for a type without a class, and for an event whose payload was deleted.

        Raises:
            StateMismatch: the data do not fit the class.
        """
        convert = self._convert.get(event.type)
        if convert is None or (isinstance(event, RecordedEvent) and event.deleted):
            return None
        try:
            return convert(event.data_json)
        except StateMismatch as mismatch:
            place = f" (at {mismatch.path})" if mismatch.path else ""
            problem = f"the data of a {event.type} do not fit: {mismatch.problem}{place}"
            raise StateMismatch(problem, mismatch.facts) from None


def _fitting(model: Any) -> Convert:
    def convert(data: bytes) -> Any:
        try:
            return fit(model, decode(data), "")
        except Misfit as misfit:
            facts = {"model": str(model), "path": misfit.path, "problem": misfit.problem}
            raise StateMismatch(misfit.problem, facts) from None

    return convert


def _plain(value: Any) -> Any:
    """The value as JSON's types, with whatever `Event` can encode."""
    kind = kind_of(type(value))
    if kind in ("dataclass", "adapter"):
        fields = ((one.name, one.name, _has_default(one)) for one in dataclasses.fields(value))
    elif kind == "pydantic":
        if hasattr(value, "root"):
            return _plain(value.root)
        fields = (
            (name, one.serialization_alias or one.alias or name, not one.is_required())
            for name, one in type(value).model_fields.items()
        )
    elif kind == "msgspec":
        return sys.modules["msgspec"].to_builtins(value, builtin_types=_ENCODED)
    elif isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    elif isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    else:
        return value
    members = ((member, getattr(value, name), optional) for name, member, optional in fields)
    return {
        member: _plain(item)
        for member, item, optional in members
        if item is not None or not optional
    }


def _has_default(field: Any) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing
