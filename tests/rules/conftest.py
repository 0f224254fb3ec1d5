"""What the tests of the ten rules share: a clock that is moved by hand, and that can fail."""

import pytest

from tests.rules.kit import FragileClock


@pytest.fixture
def clock() -> FragileClock:
    return FragileClock(1_000.0)
