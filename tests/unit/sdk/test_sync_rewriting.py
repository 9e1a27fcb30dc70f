"""Goal: the synchronous client is the asynchronous one without what makes it so.

Method: rewrite samples; look through what is checked in for leftovers.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sdk_sync

PACKAGE = Path(__file__).resolve().parents[3] / "python/eventfold"


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("async def f():\n    pass\n", "def f():\n    pass\n"),
        ("x = await f(\n    await g(),  # why\n)\n", "x = f(\n    g(),  # why\n)\n"),
        ("async with a as b:\n    pass\n", "with a as b:\n    pass\n"),
        ("y = [e async for e in r]\n", "y = [e for e in r]\n"),
        ("class AsyncClient(AsyncCalls): ...\n", "class Client(Calls): ...\n"),
        ("from eventfold._async.x import AsyncX\n", "from eventfold._sync.x import X\n"),
        ("r.__aenter__(); r.aclose()\n", "r.__enter__(); r.close()\n"),
        (
            '"""Use `async with` or\n\n    await store.append(1)\n"""\n',
            '"""Use `with` or\n\n    store.append(1)\n"""\n',
        ),
        ("Asynchronous = asyncio\n", "Asynchronous = asyncio\n"),
        ("a = 'async' \\\n    'b'\n", "a = 'async' \\\n    'b'\n"),
        ("if x:\n\n    # note\n    await y\n\nz = 1\n", "if x:\n\n    # note\n    y\n\nz = 1\n"),
    ],
)
def test_rewriting(source: str, wanted: str) -> None:
    assert sdk_sync.rewrite(source) == wanted


def test_nothing_asynchronous_is_left() -> None:
    generated = sorted((PACKAGE / "_sync").glob("[a-z]*.py"))
    assert [path.name for path in generated] == sorted(sdk_sync.render(PACKAGE))
    for path in generated:
        text = path.read_text(encoding="utf-8").partition("\n")[2]
        assert not re.search(r"(?i)async|await", text), path.name
