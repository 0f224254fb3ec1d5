"""How breakers come into a fleet: by their registry or by hand, once, and only those that a fleet can keep."""

import gc
import threading
from functools import partial
from pathlib import Path

import pytest

from recloser import BreakerRegistry, CircuitBreaker, FailureCount, TimeWindow
from recloser.fleet import Fleet, RedisFleet
from recloser.fleet.store.memory import InMemoryServer, InMemoryStore
from tests.fleet.breakers.kit import NAME, fleet_of, new_server, open_all, process, running, settle, states

pytestmark = pytest.mark.anyio


def new_fleet() -> Fleet:
    server = InMemoryServer()
    return Fleet(lambda: InMemoryStore(server))


async def make_store_late() -> InMemoryStore:
    return InMemoryStore(InMemoryServer())


def make_store_unawaited() -> object:
    """Looks synchronous, and returns a coroutine."""
    return make_store_late()


async def test_a_store_that_would_have_to_be_awaited_is_refused_where_the_fleet_is_entered() -> None:
    fleet = Fleet(make_store_unawaited)
    for _ in range(2):
        with pytest.raises(TypeError, match="^make_store must be synchronous, but returned a coroutine"):
            await fleet.__aenter__()


def names(fleet: Fleet) -> list[str]:
    return list(fleet.status()["breakers"])


def test_breakers_of_a_registry_join_its_fleet() -> None:
    registry = BreakerRegistry(fleet=(fleet := new_fleet()))
    kept = registry.breaker("one"), registry.add(CircuitBreaker("another"))
    assert names(fleet) == ["another", "one"]
    assert registry.breaker("one") is registry.add(kept[0])


def test_breakers_of_a_configuration_join_its_fleet(tmp_path: Path) -> None:
    file = tmp_path / "breakers.toml"
    file.write_text("[breakers.payments]\nfailure_threshold = 3\n")
    registry = BreakerRegistry.from_config(file, fleet=(fleet := new_fleet()))
    registry.breaker("payments")
    assert names(fleet) == ["payments"]


async def test_a_breaker_without_a_registry_joins_by_hand() -> None:
    server = new_server()
    one, other = process(server), process(server)
    alone = CircuitBreaker("alone", failure_threshold=1)
    one.fleet.join(alone)
    one.fleet.join(alone)
    async with running(one, other):
        theirs = other.registry.breaker("alone")
        await other.fleet.force_open("alone", "maintenance")
        await settle()
        assert (alone.get_state(), theirs.get_state()) == ("forced_open", "forced_open")


async def test_a_breaker_that_joins_late_is_asked_for_at_once() -> None:
    async with fleet_of(2, poll_seconds=1_000) as processes:
        await processes[0].fleet.force_open("late", "maintenance")
        late = processes[1].registry.breaker("late")
        await settle()
        assert late.get_state() == "forced_open"


def test_what_is_gone_leaves_its_name_to_another() -> None:
    fleet = new_fleet()
    fleet.join(CircuitBreaker(NAME))
    gc.collect()
    assert names(fleet) == []
    fleet.join(kept := CircuitBreaker(NAME))
    assert names(fleet) == [kept.name]


def test_of_two_breakers_of_a_name_one_may_join() -> None:
    fleet = new_fleet()
    kept = BreakerRegistry(fleet=fleet).breaker(NAME)
    another = BreakerRegistry(fleet=fleet)
    with pytest.raises(ValueError, match="another circuit breaker of this process has joined the fleet as 'payments'"):
        another.breaker(NAME)
    assert another.get(NAME) is None
    with pytest.raises(ValueError, match="has joined the fleet as 'payments'"):
        another.add(CircuitBreaker(NAME))
    assert another.get(NAME) is None
    assert names(fleet) == [kept.name]


def test_a_name_that_is_taken_in_the_registry_is_refused_there() -> None:
    registry = BreakerRegistry(fleet=new_fleet())
    kept = registry.breaker(NAME)
    with pytest.raises(ValueError, match="the name 'payments' is taken"):
        registry.add(CircuitBreaker(NAME))
    assert registry.get(NAME) is kept


def test_of_two_threads_that_make_a_breaker_both_get_the_one_that_joined() -> None:
    registry = BreakerRegistry(fleet=(fleet := new_fleet()))
    both = threading.Barrier(2, timeout=10)
    made: list[CircuitBreaker] = []
    looked: list[str] = []
    find = registry.queue.find

    def make() -> None:
        made.append(registry.breaker(NAME))

    def find_together(name: str) -> CircuitBreaker | None:
        found = find(name)
        looked.append(name)
        if len(looked) <= 2:
            both.wait()  # until the other thread has found no breaker of this name either
        return found

    registry.queue.find = find_together
    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(made) == 2
    assert made[0] is made[1]
    fleet.join(made[0])  # is the one that has joined: another of its name would be refused


def test_a_breaker_is_in_one_fleet() -> None:
    breaker = CircuitBreaker(NAME)
    first, second = new_fleet(), new_fleet()
    first.join(breaker)
    with pytest.raises(ValueError, match="'payments' belongs to another fleet already"):
        second.join(breaker)


def test_what_is_no_breaker_is_refused() -> None:
    with pytest.raises(TypeError, match="breaker must be a CircuitBreaker, not 'payments'"):
        new_fleet().join(NAME)  # type: ignore[arg-type]


def test_a_name_that_no_store_can_keep_is_refused_and_leaves_nothing() -> None:
    registry = BreakerRegistry(fleet=(fleet := new_fleet()))
    with pytest.raises(ValueError, match="name"):
        registry.breaker("x" * 201)
    assert "x" * 201 not in registry
    assert names(fleet) == []


def test_more_than_one_probe_at_a_time_is_refused_wherever_it_is_set() -> None:
    fleet = new_fleet()
    expected = "max_probes must be 1 in a fleet, which makes one probe at a time, not 2"
    with pytest.raises(ValueError, match=expected):
        BreakerRegistry(fleet=fleet, max_probes=2)
    registry = BreakerRegistry(fleet=fleet)
    with pytest.raises(ValueError, match=expected):
        registry.breaker(NAME, max_probes=2)
    with pytest.raises(ValueError, match=expected):
        registry.add(CircuitBreaker(NAME, max_probes=2))
    assert NAME not in registry


async def test_more_than_one_probe_at_a_time_cannot_be_set_later() -> None:
    registry = BreakerRegistry(fleet=new_fleet())
    breaker = registry.breaker(NAME)
    with pytest.raises(ValueError, match="max_probes must be 1 in a fleet"):
        registry.reconfigure(NAME, max_probes=2)
    with pytest.raises(ValueError, match="max_probes must be 1 in a fleet"):
        breaker.reconfigure(max_probes=2)


async def test_a_rule_that_is_changed_while_it_runs_is_counted_anew() -> None:
    async with fleet_of(2, trip_when=FailureCount(10, window=TimeWindow(60))) as processes:
        for one in processes:
            await one.fail(4)
        await settle()
        for one in processes:
            one.breaker.reconfigure(trip_when=FailureCount(4, window=TimeWindow(60)))
            await one.fail(2)
        await settle()
        assert states(processes) == ["open"] * 2


async def test_settings_that_are_changed_hold_in_the_fleet() -> None:
    async with fleet_of(2) as processes:
        for one in processes:
            one.breaker.reconfigure(failure_threshold=1)
        for one in processes:
            await one.fail(1)
        await settle()
        assert states(processes) == ["open"] * 2


async def test_a_breaker_that_is_gone_leaves_the_fleet_as_it_is() -> None:
    async with fleet_of(2) as processes:
        processes[0].registry.breaker("gone", failure_threshold=1)
        await open_all(processes)
        gc.collect()
        await settle(5)
        assert states(processes) == ["open"] * 2


@pytest.mark.parametrize("fleet", ["redis://localhost", object(), 7])
def test_what_is_no_fleet_is_refused(fleet: object) -> None:
    with pytest.raises(TypeError, match=r"fleet must be a fleet such as recloser.fleet.RedisFleet\(url\)"):
        BreakerRegistry(fleet=fleet)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "names_it"),
    [
        ({"make_store": "redis://localhost"}, "make_store must be a function that returns a store"),
        ({"make_store": partial(make_store_late)}, "make_store must be a synchronous function that returns a store"),
        ({"random": 7}, "random must be a random.Random"),
        ({"quorum": 0}, "quorum"),
        ({"quorum": 101}, "quorum"),
        ({"quorum": 2.5}, "quorum"),
        ({"lease_seconds": 0}, "lease_seconds"),
        ({"poll_seconds": float("inf")}, "poll_seconds"),
        ({"report_gap_seconds": -1}, "report_gap_seconds"),
    ],
)
def test_bad_arguments_of_a_fleet_are_refused_by_name(arguments: dict[str, object], names_it: str) -> None:
    with pytest.raises((TypeError, ValueError), match=names_it):
        Fleet(**{"make_store": lambda: InMemoryStore(InMemoryServer()), **arguments})  # type: ignore[arg-type]


def test_a_fleet_names_its_server_and_no_credentials() -> None:
    pytest.importorskip("redis")
    fleet = RedisFleet("rediss://ada:secret@store.example:6380/2", namespace="shop")
    assert "store.example:6380" in repr(fleet)
    assert "shop" in repr(fleet)
    assert repr(fleet).startswith("RedisFleet(")
    assert "secret" not in repr(fleet)
    assert "ada" not in repr(fleet)
