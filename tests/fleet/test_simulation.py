"""Very many workers agree: the fleet's own code with the store in memory, on virtual time."""

import os

import pytest

from tests.fleet.simulation import POLL_SECONDS, ROUND_TRIP_SECONDS, Figures, simulate

# A thousand workers in `nox -s soak`, a share of them in CI.
WORKERS, BREAKERS = int(os.environ.get("RECLOSER_FLEET_WORKERS", "200")), 10


@pytest.fixture(scope="module")
def figures() -> Figures:
    return simulate(WORKERS, BREAKERS)


def test_all_workers_open_within_a_round_trip_of_the_evidence(figures: Figures) -> None:
    assert figures.opened_within <= 3 * ROUND_TRIP_SECONDS


def test_all_workers_make_one_probe_together(figures: Figures) -> None:
    assert figures.probes == [1] * BREAKERS


def test_all_workers_close_within_a_round_trip_of_the_probes_end(figures: Figures) -> None:
    assert figures.closed_within <= 3 * ROUND_TRIP_SECONDS


def test_a_fleet_that_has_nothing_to_say_asks_once_per_breaker_and_poll(figures: Figures) -> None:
    assert figures.operations_per_second_idle <= 1.05 * WORKERS * BREAKERS / POLL_SECONDS


def test_an_outage_takes_as_many_operations_as_there_is_evidence(figures: Figures) -> None:
    voters = 2
    polls = 2 * figures.operations_per_second_idle * figures.opened_within  # others ask for states all the while
    assert figures.operations_of_an_outage <= voters * BREAKERS * 2 + polls


def test_a_breaker_in_a_fleet_takes_little_memory(figures: Figures) -> None:
    assert figures.bytes_per_breaker <= 3072
    assert figures.stored_bytes <= 256 * BREAKERS
