"""What the tests of the shell share: a clock that is moved by hand."""

import pytest

from recloser.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)
