"""What the annotations of a schema declare personal."""

from collections.abc import Sequence
from dataclasses import dataclass

from eventfold import _core
from eventfold_server.domain.folding import in_thread
from eventfold_server.domain.privacy.declaring import Declaration, undeclared
from eventfold_server.domain.privacy.warnings import PrivacyWarning, of_events
from eventfold_server.errors import Refusal
from eventfold_server.storage.event_types import Change
from eventfold_server.storage.privacy import SCHEMA, PrivacyRulesRow


@dataclass
class Annotated:
    """What becomes of the privacy rules of a type with a new schema."""

    # Those in force.
    before: PrivacyRulesRow | None
    # What the schema declares; None: nothing.
    declaration: Declaration | None
    undeclares: bool

    @classmethod
    async def of(
        cls,
        event_type: str,
        schema: _core.Schema,
        before: PrivacyRulesRow | None,
        *,
        accepts_plaintext: bool = False,
        undeclares: bool = False,
        has_keys: bool = True,
    ) -> "Annotated":
        """INVALID_SCHEMA, if an annotation cannot be taken. A shared schema, whose event type is
        empty, declares with those that refer to it.
        """
        try:
            personal = await in_thread(None, _core.Personal.of_schema, event_type, schema)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None
        declaration = None
        if personal is not None and event_type:
            declaration = Declaration(
                personal,
                personal.normal_form,
                SCHEMA,
                before,
                accepts_plaintext,
                undeclares,
                has_keys,
            )
        return cls(before, declaration, undeclares)

    @property
    def changes(self) -> bool:
        """Whether other rules come into force, or none."""
        return self.tried is not None or self._drops

    @property
    def tried(self) -> Declaration | None:
        """What stored events are to be tried for; None: nothing."""
        declaration = self.declaration
        return None if declaration is None or declaration.is_in_force() else declaration

    @property
    def _drops(self) -> bool:
        """Whether the schema before has declared what this one does not."""
        of_schema = self.before is not None and self.before.origin == SCHEMA
        return of_schema and self.declaration is None

    def refusal(self) -> Refusal | None:
        """Why they cannot be put in force, as far as stored events were tried."""
        if self.declaration is not None:
            return self.declaration.refusal()
        if not self._drops or self.undeclares:
            return None
        assert self.before is not None
        return undeclared(self.before, ())

    async def store(self, change: Change, by: str) -> None:
        """Puts them in force."""
        if (declaration := self.tried) is not None:
            self.before = await change.put_privacy(
                declaration.new(), declaration.found.plaintext, by
            )
        elif self._drops:
            assert self.before is not None
            await change.drop_privacy(self.before.type, None)
            self.before = None

    def warnings(self) -> Sequence[PrivacyWarning]:
        """What stored events say that the rules do not protect."""
        return () if self.declaration is None else of_events(self.declaration.found)
