"""Fixtures for the schedules: no warnings about what they break on purpose, and asserts that show their values."""

import gc
import logging
import warnings
from collections.abc import Iterator

import pytest

from recloser._core import tickets
from tests.schedules.patience import EVERY, FIRST

pytest.register_assert_rewrite("tests.schedules.observer", "tests.schedules.watchers", "tests.schedules.world")


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedules are short: their breakers take few first samples, and then one every few calls."""
    monkeypatch.setattr(tickets, "FIRST_SAMPLES", FIRST)
    monkeypatch.setattr(tickets, "SAMPLE_EVERY", EVERY)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Predicates and listeners that raise, and permits that are dropped, are part of the scenarios."""
    logger = logging.getLogger("recloser")
    logger.disabled = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()  # so that leaks in reference cycles warn here, and not in a later test
    logger.disabled = False
