"""The cut-over of a transform: its sources are closed, step by step, all of each copied."""

import asyncio
from contextlib import aclosing

from eventfold_server import failpoints, limits
from eventfold_server.domain.transforms.job import Failed, Job, failing
from eventfold_server.errors import Refusal
from eventfold_server.storage.transform_writer import HeldAppends, TransformWriter
from eventfold_server.storage.transforms import Stage

_ROUNDS = 3


class _TooLong(Exception):
    """A step would hold up appends for longer than it may, or goes by rules of before."""


class CutOver:
    """A cut-over under way. It may be left at any point, and begun anew from there."""

    def __init__(self, job: Job, writer: TransformWriter) -> None:
        self._job = job
        self._writer = writer
        self._streams = limits.TRANSFORM_CLOSE_STREAMS

    async def run(self, stage: Stage) -> None:
        """Closes all sources, and compares what was copied meanwhile."""
        assert stage.cutover_ms_max is not None
        loop = asyncio.get_running_loop()
        left = 1
        while left:
            # Whatever can be done without holding up anybody: each round leaves what came during
            # the one before.
            for _ in range(_ROUNDS):
                await self._job.copy_all()
            # Behind the last step nobody can append anywhere until all is compared.
            while not await self._job.verify_some():
                pass
            await self._job.copy_all()
            await self._job.cover()
            began = loop.time()
            try:
                left = await self._step(stage.cutover_ms_max)
            except _TooLong:
                self._streams = max(self._streams // 2, 1)
            # As long as the step took, so that half of the time is for others.
            await asyncio.sleep(loop.time() - began)
        await self._job.verify_all()

    async def _step(self, ms_max: int) -> int:
        """Closes some sources while nobody else appends; how many are left. Raises _TooLong."""
        loop = asyncio.get_running_loop()
        job, began = self._job, None
        try:
            async with self._writer.held(job.claimed, ms_max) as (held, head):
                began = loop.time()
                failpoints.reach("transform_held")
                # The commit takes its time too.
                async with asyncio.timeout(ms_max / 2000):
                    await self._copy(held, head)
                    left = await held.close_sources(self._streams)
                failpoints.reach("transform_closing")
                await held.commit()
        except (TimeoutError, Refusal, _TooLong) as error:
            await job.begin_anew()
            if isinstance(error, _TooLong):
                raise
            if began is None or loop.time() - began < ms_max / 2000:
                raise
            raise _TooLong from error
        held_s = loop.time() - began
        failpoints.reach("transform_closed")
        await self._writer.note_held(job.claimed.number, round(held_s * 1000))
        if held_s * 4000 < ms_max:
            self._streams = min(2 * self._streams, limits.TRANSFORM_CLOSE_STREAMS_MAX)
        return left

    async def _copy(self, held: HeldAppends, head: int) -> None:
        job = self._job
        async with aclosing(job.chunks(job.looked_at, head)) as chunks:
            async for chunk in chunks:
                counts = job.counted(chunk)
                with failing():
                    if not await held.append(job.position, chunk, counts.text()):
                        raise _TooLong
                job.moved(chunk, counts)
                if chunk.failed is not None:
                    raise Failed(Refusal.of_core(chunk.failed))
