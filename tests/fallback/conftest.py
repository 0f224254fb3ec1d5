"""What the tests of fallback chains share: a clock that is moved by hand, and the lines of the log."""

import logging

import pytest

from recloser.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="recloser")
