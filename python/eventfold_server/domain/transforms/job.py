"""One transform under one lease: trying, copying, comparing, naming successors, undoing."""

import asyncio
import hmac
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace

from eventfold import _core
from eventfold_server import failpoints, limits
from eventfold_server.domain.transforms.comparing import Compared, compare
from eventfold_server.domain.transforms.documents import Document
from eventfold_server.domain.transforms.remote import RemoteTarget
from eventfold_server.domain.transforms.tally import Counts, Trial
from eventfold_server.errors import Refusal
from eventfold_server.storage.transform_chunks import Chunk
from eventfold_server.storage.transform_writer import Fenced, TransformWriter, target_exists
from eventfold_server.storage.transforms import ClaimedTransform, Stage, TransformStorage

# Names of targets that a trial remembers to have looked up.
_LOOKED_UP_MAX = 100_000
# What a job fails with by itself; all else is a fault of the server, and is tried again.
_FAILURES = frozenset(
    {
        "TARGET_EXISTS",
        "TARGET_MOVED",
        "TRANSFORM_DIFFERS",
        "TRANSFORM_FAILED",
        "TRANSFORM_TARGET_STORE",
    }
)
# What the key of the digests of copies is made from.
_DIGESTS = b"digests of copies"
# What is compared was held to the rules when it was copied; another server has rules of its own.
_NO_RULES = _core.Rules(0)


class Failed(Exception):
    """The transform fails, for good."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


@contextmanager
def failing() -> Iterator[None]:
    """Around what may fail the transform for good."""
    try:
        yield
    except Refusal as refusal:
        if refusal.reason in _FAILURES:
            raise Failed(refusal) from None
        raise


class Job:
    """A transform that this process has taken."""

    def __init__(
        self,
        storage: TransformStorage,
        writer: TransformWriter,
        claimed: ClaimedTransform,
        document: Document,
        room: asyncio.Semaphore,
        going: Callable[[], object],
        remote: RemoteTarget | None = None,
        pseudonym_key: bytes | None = None,
    ) -> None:
        """`room`: for chunks of all transforms of the process. `going` is called behind each.
        `remote`: where it copies to, if that is another server. `pseudonym_key`: what it makes
        pseudonyms under; without it they fail.
        """
        self._pseudonym_key = pseudonym_key
        # Another server digests what it has, which is not personal here, and has no key of ours.
        self._digest_key: bytes | None = None
        if remote is None and pseudonym_key is not None:
            self._digest_key = hmac.digest(pseudonym_key, _DIGESTS, "sha256")
        self.remote = remote
        # The rules of which it is known that they say what copies bring.
        self._covering: _core.Rules | None = None
        self._storage = storage
        self._writer = writer
        self.claimed = claimed
        self.document = document
        self._room = room
        self._going = going
        # As the database has it, and up to where there is nothing more to read.
        self.position = 0
        self.looked_at = 0
        self._written_at = 0.0
        self._verified = 0
        self._counts = Counts()

    async def stage(self) -> Stage | None:
        """Where the transform is; None: somebody else has it."""
        found = await self._storage.stage(self.claimed.number, self.claimed.lease)
        if found is not None and found.position != self.position:
            self._begin(found)
        return found

    def _begin(self, stage: Stage) -> None:
        """Goes on where the database says."""
        self.position = self.looked_at = stage.position
        self._verified = stage.verified
        self._counts = Counts.restored(stage.counts)

    async def reach(self, state: int, to: int, failure: Refusal | None = None) -> None:
        """Moves it from a state to another."""
        number, lease = self.claimed.number, self.claimed.lease
        if not await self._storage.reached(number, lease, state, to, failure):
            raise Fenced

    async def chunks(
        self, after: int, up_to: int, *, held_to_rules: bool = True, examples_max: int = 0
    ) -> AsyncGenerator[Chunk]:
        """What becomes of the events of the sources between two positions. The last chunk may have
        none, and ends at the second. One that fails is the last.
        """
        position, rows = after, limits.TRANSFORM_PAGE_EVENTS
        while rows == limits.TRANSFORM_PAGE_EVENTS and position < up_to:
            rows = 0
            pages = self._writer.pages(self.document.sources, position + 1, up_to)
            async with aclosing(pages):
                async for page in pages:
                    rows += page.rows
                    first = 0
                    while page.batch is not None and first < page.rows:
                        chunk = await self._chunk(page.batch, first, held_to_rules, examples_max)
                        assert chunk.copies is not None
                        first, position = chunk.copies.next, chunk.position
                        yield chunk
                        if chunk.failed is not None:
                            return
        if position < up_to:
            yield Chunk(up_to)

    async def _chunk(
        self, batch: _core.Batch, first: int, held_to_rules: bool, examples_max: int
    ) -> Chunk:
        held_to_rules = held_to_rules and self.remote is None
        rules = await self._rules(copies=not examples_max) if held_to_rules else _NO_RULES
        copies = await asyncio.to_thread(
            self.document.transform.apply,
            batch,
            str(self.claimed.transform_id),
            rules,
            first=first,
            examples_max=examples_max,
            pseudonym_key=self._pseudonym_key,
            seals=self.remote is None,
            hides=self._writer.rules,
        )
        end = copies.next
        # Of an event that fails at once: the position before it.
        position = batch.position(end - 1) if end > first else batch.position(first) - 1
        chunk = Chunk(position, copies, batch, first, rules.version)
        # A trial stores nothing, and makes no keys.
        if held_to_rules and copies.events and not examples_max:
            with failing():
                sealed = await self._writer.sealed(chunk, self.claimed.started_by)
            chunk = replace(chunk, sealed=sealed)
        return chunk

    async def cover(self) -> None:
        """Has the rules say what copies bring, before a step that holds others up."""
        await self._rules(copies=True)

    async def _rules(self, *, copies: bool) -> _core.Rules:
        """The rules that copies are held to. Before the first one is stored they say what of it is
        personal.
        """
        rules = self._writer.rules
        if copies and rules is not self._covering:
            rules = self._covering = await self._writer.rules_for(self.document.transform)
        return rules

    async def try_all(self, stage: Stage) -> Trial:
        """Tries the document on what is there; nothing is stored but what that came to."""
        trial = Trial.restored(stage.trial)
        # Examples are shown by the rules of now.
        under = await self._writer.newest_rules()
        if not stage.tried:
            trial.to = await self._storage.head()
        position, looked_up = stage.tried, set[str]()
        while position < trial.to:
            async for chunk in self.chunks(position, trial.to, examples_max=1):
                position = chunk.position
                trial.counts = trial.counts.with_more(chunk.counts)
                if chunk.copies is not None:
                    for example in chunk.copies.examples:
                        trial.show(example)
                    await self._look_up(trial, chunk.copies, looked_up)
                if chunk.failed is not None:
                    trial.fail(Refusal.of_core(chunk.failed))
                    # Goes on behind the event.
                    position = chunk.failed_at
                failpoints.reach("transform_tried")
                newest = await self._writer.newest_rules()
                if newest.version != under.version:
                    # They may hold what is personal by now.
                    trial.examples.clear()
                    under = newest
                await self.note_trial(position, trial)
        return trial

    async def _look_up(self, trial: Trial, copies: _core.Transformed, looked_up: set[str]) -> None:
        """Fails the trial for targets that are there already."""
        fresh = {append.stream for append in copies.appends} - looked_up
        existing = None
        if fresh:
            with failing():
                existing = await (self.remote or self._storage).existing(sorted(fresh))
        if existing is not None:
            trial.fail(target_exists(self.claimed.transform_id, existing))
        if len(looked_up) > _LOOKED_UP_MAX:
            looked_up.clear()
        looked_up.update(fresh)

    async def note_trial(self, position: int, trial: Trial) -> None:
        """Notes how far it was tried, and what that came to."""
        number, lease = self.claimed.number, self.claimed.lease
        lease_s = limits.TRANSFORM_LEASE_S
        if not await self._storage.tried(number, lease, lease_s, position, trial.text()):
            raise Fenced
        self._going()

    async def note_categories(self) -> None:
        """Notes what it reads and writes: whoever reads both by name has to say whether copies
        count. Copies on another server are none of theirs.
        """
        if self.remote is not None:
            return
        await self._storage.note_categories(
            self.claimed.number,
            sorted(self.document.read_categories),
            sorted(self.document.into),
        )

    async def copy_all(self) -> int:
        """Copies all that is there, whatever comes meanwhile; up to which head of the log."""
        head = await self._storage.head()
        while True:
            await self.copy_to(head)
            newest = await self._storage.head()
            if newest - head < limits.TRANSFORM_CAUGHT_UP_POSITIONS:
                return head
            head = newest

    async def copy_to(self, head: int) -> None:
        """Copies up to a position."""
        while self.looked_at < head:
            async with aclosing(self.chunks(self.looked_at, head)) as chunks:
                async for chunk in chunks:
                    if not await self._copy(chunk):
                        # What was read goes by rules that are in force no more.
                        break

    async def _copy(self, chunk: Chunk) -> bool:
        """Copies a chunk; False: it must be made anew."""
        failpoints.reach("transform_chunk")
        now = asyncio.get_running_loop().time()
        if chunk.read or now - self._written_at >= limits.TRANSFORM_QUIET_S:
            counts = self.counted(chunk)
            if not await self._append(chunk, counts.text()):
                return False
            failpoints.reach("transform_copied")
            self._written_at = now
            self.moved(chunk, counts)
            self._going()
        else:
            # Only other events: the position is written a few times a second.
            self.looked_at = chunk.position
        if chunk.failed is not None:
            raise Failed(Refusal.of_core(chunk.failed))
        return True

    async def _append(self, chunk: Chunk, counts: str) -> bool:
        with failing():
            if self.remote is not None:
                # It may wait for long, and holds nobody else up here.
                await self.remote.append(self.position, chunk, counts)
                return True
            async with self._room:
                return await self._writer.append(self.claimed, self.position, chunk, counts)

    def counted(self, chunk: Chunk) -> Counts:
        """What there is of each type with a chunk."""
        return self._counts.with_more(chunk.counts)

    def moved(self, chunk: Chunk, counts: Counts) -> None:
        """A chunk is written."""
        self.position = self.looked_at = chunk.position
        self._counts = counts

    async def begin_anew(self) -> None:
        """What was written is undone: the database says how far it is."""
        stage = await self._storage.stage(self.claimed.number, self.claimed.lease)
        if stage is None:
            raise Fenced
        self._begin(stage)

    async def verify_some(self) -> bool:
        """Compares a chunk of what is copied; whether that was all."""
        if self._verified >= self.position:
            return True
        try:
            chunk, (events, targets) = await self._compared()
        except Failed as failed:
            if failed.refusal.reason != "TRANSFORM_DIFFERS" or self.remote is not None:
                raise
            # Values may have been erased between the two looks, and are so in both from now on.
            chunk, (events, targets) = await self._compared()
        failpoints.reach("transform_compared")
        await self._writer.verified(self.claimed, self._verified, chunk.position, events, targets)
        self._verified = chunk.position
        self._going()
        return self._verified >= self.position

    async def _compared(self) -> tuple[Chunk, tuple[int, Compared]]:
        """What comes next of what is copied, and what comparing it came to."""
        chunks = self.chunks(self._verified, self.position, held_to_rules=False)
        async with aclosing(chunks):
            chunk = await anext(chunks)
        if chunk.failed is not None:
            raise Failed(Refusal.of_core(chunk.failed))
        with failing():
            compared = await compare(
                self._writer, self.claimed, chunk, self.remote, self._digest_key
            )
        return chunk, compared

    async def verify_all(self) -> None:
        """Compares all that is copied, and that targets hold nothing else."""
        while not await self.verify_some():
            pass
        differing = await self._storage.differing(self.claimed.number)
        if differing is not None:
            raise Failed(
                Refusal(
                    "TARGET_MOVED",
                    "a stream that the transform has begun holds other events too",
                    transform_id=self.claimed.transform_id,
                    stream=differing["stream"],
                    expected=differing["expected"],
                    actual=differing["actual"],
                    problem="moved",
                )
            )

    async def succeed_all(self) -> None:
        """Names successors of all sources that get one."""
        number, lease = self.claimed.number, self.claimed.lease
        after: str | None = ""
        while after is not None:
            after = await self._storage.succeed(
                number, lease, after, limits.TRANSFORM_SWITCH_STREAMS
            )
            failpoints.reach("transform_succeeded")

    async def undo_all(self) -> None:
        """Undoes what a cut-over did."""
        number, lease = self.claimed.number, self.claimed.lease
        while await self._storage.undo(number, lease, limits.TRANSFORM_SWITCH_STREAMS) is False:
            failpoints.reach("transform_undone")
