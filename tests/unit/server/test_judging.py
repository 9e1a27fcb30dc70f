"""Goal: an append that is handed over for judgement is judged, at whatever moment that is.

Method: the real `Judging` on an event loop, with appends that need no judgement, so that all that
is left is who takes what from whom.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from eventfold_server.storage import judging
from eventfold_server.storage.judging import Judging


class _Decided:
    """An append whose caller has left."""

    is_decided = True


async def test_what_comes_as_the_last_worker_ends_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next one comes between the end of a worker and all that follows from that end."""
    monkeypatch.setattr(judging, "APPEND_JUDGING_THREADS", 1)
    one, other = cast("Any", _Decided()), cast("Any", _Decided())
    taken: list[Any] = []
    finished = asyncio.Event()

    def done(waiting: Any) -> None:
        taken.append(waiting)
        if waiting is one:
            asyncio.get_running_loop().call_soon(judge.begin, other)
        else:
            finished.set()

    judge = Judging(cast("Any", None), done)
    judge.begin(one)
    async with asyncio.timeout(60):
        await finished.wait()
    assert taken == [one, other]
