"""Fixtures for the tests of the breaker."""

import pytest

from recloser.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)
