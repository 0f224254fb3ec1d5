"""Fixtures for the tests of the ten rules."""

import pytest

from tests.rules.kit import FragileClock


@pytest.fixture
def clock() -> FragileClock:
    return FragileClock(1_000.0)
