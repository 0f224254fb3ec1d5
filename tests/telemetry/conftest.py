"""What the tests of telemetry share: a clock that is moved by hand, and a meter provider."""

from collections.abc import Iterator

import pytest

from recloser.testing import ManualClock
from tests.telemetry.sdk import Sdk


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    sdk = Sdk()
    yield sdk
    sdk.provider.shutdown()
