"""Rounds of faults: one of each here and in CI, `RECLOSER_FLEET_ROUNDS` of each in the session `fleet` of nox."""

import os

import pytest

ROUNDS = int(os.environ.get("RECLOSER_FLEET_ROUNDS", "1"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=range(ROUNDS), ids=lambda seed: f"round-{seed}")
def seed(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number
