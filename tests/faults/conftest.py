"""How many random histories to make, and how rough they are."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `history_seed` runs once for each history."""
    if "history_seed" in metafunc.fixturenames:
        count = int(metafunc.config.getoption("--histories"))
        metafunc.parametrize("history_seed", range(count))


@pytest.fixture
def with_restarts(request: pytest.FixtureRequest) -> bool:
    """Whether PostgreSQL is restarted within each history."""
    return bool(request.config.getoption("--with-restarts"))
