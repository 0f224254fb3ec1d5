"""Rounds of faults: a share of them here and in CI; all, many times, in the session `fleet` of nox."""

import pytest

from tests.fleet.processes.kit import ROUNDS


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=range(max(1, ROUNDS)), ids=lambda seed: f"round-{seed}")
def seed(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number
