"""The fleet: what users hold in their hands."""

from __future__ import annotations

from dataclasses import replace
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any

import anyio

from recloser._breaker.breaker import CircuitBreaker
from recloser._breaker.fleet_port import FleetPort
from recloser._core import checks
from recloser.errors import FleetError, FleetStoreError
from recloser.fleet._policies import check_settings
from recloser.fleet._worker import NOT_RUNNING, Worker
from recloser.fleet.membership import Membership
from recloser.fleet.store.operations import MOST_NAME_BYTES, Control, check_name
from recloser.fleet.store.redis import RedisStore
from recloser.fleet.store.values import MOST_WORKERS, Action, Code, SharedState, microseconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from recloser._core.settings import Settings
    from recloser.fleet.store import FleetStore
    from recloser.fleet.store.values import Reply

_RANDOM = SystemRandom()


class Fleet:
    """Lets breakers of the same name in many processes share one state: `BreakerRegistry(fleet=fleet)`.

    `async with fleet:` runs its tasks in a task group of its own. Outside of it, and while the store is unreachable,
    each breaker decides alone. No protected call waits for the store, except the one that is about to be the probe,
    and that one for at most the store's time limit. No error of the store reaches a caller.

    Rules over a time window (`FailureRate`, `FailureCount`, `SlowCallRate` on a `TimeWindow`) are evaluated on the sums
    of all workers; under all other rules each worker votes when its own rule has opened it. Either way the fleet opens
    only with the evidence of `quorum` distinct workers; a worker that is alone with its failures opens itself only.
    Then one probe goes through in all processes together, and what it finds holds for all.

    Args:
        make_store: Returns a new store; called each time that the fleet is entered.
        quorum: Distinct workers with evidence that open the fleet, 1 to 100. With 1, one worker with a broken network
            opens everybody's circuit.
        lease_seconds: How long a probe is exclusive without a sign of life of its process, which renews it three
            times in this time (finite, > 0): a process that dies delays recovery by this much. The same in all workers.
        poll_seconds: How often each breaker's state is asked for, to repair what messages were lost (finite, > 0).
        report_gap_seconds: Least time between two batches of reports, on average (finite, >= 0).
        random: Source of all jitter.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        make_store: Callable[[], FleetStore],
        *,
        quorum: int = 2,
        lease_seconds: float = 5.0,
        poll_seconds: float = 1.0,
        report_gap_seconds: float = 0.025,
        random: Random = _RANDOM,
    ) -> None:
        if not callable(make_store):
            raise TypeError(f"make_store must be a function that returns a store, not {make_store!r}")
        if not isinstance(random, Random):
            raise TypeError(f"random must be a random.Random, not {random!r}")
        self._make_store = make_store
        self._worker = Worker(
            quorum=checks.count("quorum", quorum, most=MOST_WORKERS),
            lease_seconds=checks.seconds("lease_seconds", lease_seconds),
            poll_seconds=checks.seconds("poll_seconds", poll_seconds),
            report_gap_seconds=checks.seconds("report_gap_seconds", report_gap_seconds, zero=True),
            random=random,
        )
        self._store: FleetStore | None = None
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Start to share: returns when the state of all breakers is known, or the store was found to be unreachable.

        Raises:
            RuntimeError: The fleet is running already, or the store does not run in this event loop.
        """
        if self._group is not None:
            raise RuntimeError("this fleet is running already; use one per event loop")
        store = self._store = self._make_store()
        group = self._group = anyio.create_task_group()
        await group.__aenter__()
        try:
            await group.start(self._worker.run, store)
        except BaseException:
            self._store = self._group = None
            await group.__aexit__(None, None, None)
            await store.aclose()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop to share: tells how the last probes ended, and closes all connections, within the time limit."""
        group, store = self._group, self._store
        if group is None or store is None:
            raise RuntimeError(NOT_RUNNING)
        self._group = self._store = None
        with anyio.CancelScope(shield=True):
            await self._worker.finish()
            await store.aclose()
        group.cancel_scope.shield = True
        group.cancel_scope.cancel()
        await group.__aexit__(None, None, None)  # the body's error is its own: a group would wrap it

    # Membership

    def join(self, breaker: CircuitBreaker) -> None:
        """Let a breaker share its state with those of its name in other processes; a registry does so by itself.

        Raises:
            TypeError: It is no breaker.
            ValueError: Its name has more than 200 bytes in UTF-8, another breaker of this process has it, or it makes
                more than one probe at a time.
        """
        if not isinstance(breaker, CircuitBreaker):
            raise TypeError(f"breaker must be a CircuitBreaker, not {breaker!r}")
        name = breaker.name
        link = self._worker.memberships.get(name)
        if link is not None and link.engine is not None:
            if link.engine is breaker.engine:
                return
            raise ValueError(f"another circuit breaker of this process has joined the fleet as {name!r}")
        if breaker.engine.port is not None:
            raise ValueError(f"circuit breaker {name!r} belongs to another fleet already")
        check_name("name", name, MOST_NAME_BYTES)
        check_settings(breaker.engine.machine.settings)
        membership = Membership(breaker.engine, self._worker)
        self._worker.memberships[name] = membership
        breaker.engine.port = FleetPort(breaker.engine, membership)
        membership.join()

    def check(self, settings: Settings) -> None:
        """Refuse settings that a fleet can't keep.

        Raises:
            ValueError: The message names the setting, its value and the range.
        """
        check_settings(settings)

    # Control

    async def force_open(self, name: str, reason: str, *, author: str = "", for_seconds: float | None = None) -> None:
        """Reject all calls in all processes, until `reset()` or the given time.

        Args:
            name: The breaker's name.
            reason: Why; shown to rejected callers, in logs and in health, with the author; 200 characters are kept.
            author: Who does it; 200 characters are kept.
            for_seconds: When this time is over (finite, > 0) the next call is a probe; None: until `reset()`.

        Raises:
            FleetError: The store is unreachable, and nothing has changed; or no answer came in time, and the action
                may have taken effect.
            TypeError: An argument is of the wrong type.
            ValueError: An argument is out of its range.
        """
        await self._control(name, Action.FORCE_OPEN, reason, author, for_seconds)

    async def disable(self, name: str, reason: str, *, author: str = "", for_seconds: float | None = None) -> None:
        """Admit all calls in all processes and trip on nothing, until `reset()` or the given time, when it closes.

        Arguments and errors are those of `force_open()`.
        """
        await self._control(name, Action.DISABLE, reason, author, for_seconds)

    async def reset(self, name: str, reason: str, *, author: str = "") -> None:
        """Close the breaker in all processes, whatever its state; errors are those of `force_open()`."""
        await self._control(name, Action.RESET, reason, author, None)

    async def _control(self, name: str, action: Action, reason: str, author: str, for_seconds: float | None) -> None:
        link = self._worker.memberships.get(name)
        control = Control(
            name=name,
            action=action,
            reason=reason,
            author=author,
            for_us=None if for_seconds is None else max(1, microseconds(checks.seconds("for_seconds", for_seconds))),
        )
        reply = await self._tell(control, link)
        if reply.code is not Code.DONE:  # what stood in the way may have gone with the first attempt: a damaged record
            reply = await self._tell(control, link)
        if reply.code is not Code.DONE:
            why = reply.problem or "it arrived too late"
            raise FleetError(f"{_what(control)} was not carried out: {why}; no process was told, try again")

    async def _tell(self, control: Control, link: Membership | None) -> Reply:
        worker = self._worker
        known = SharedState() if link is None else link.current()
        try:
            reply = await worker.carry_out(replace(control, known=known, not_after_us=worker.not_after_us()))
        except FleetStoreError as error:
            raise FleetError(f"{_what(control)} may not have reached the fleet: {error}") from None
        if link is not None:
            link.apply_reply(reply)
        return reply

    # Reading

    @property
    def is_connected(self) -> bool:
        """Whether the store is reachable; else each breaker decides alone."""
        return self._worker.is_reachable

    def status(self) -> dict[str, Any]:
        """Return what this process knows of the fleet, JSON-ready: for pages and scripts, from any thread.

        `connected`, `problem` (why not, or None), `worker`, `quorum`, `store_operations` (so far), and per breaker:
        `state`, `generation`, `trips`, `holds_probe` (whether this process makes it), `author` and `reason` of a
        manual state; in half-open the author is the `worker` that makes the probe.
        """
        worker = self._worker
        memberships = sorted(worker.memberships.values(), key=lambda membership: membership.name)
        return {
            "connected": worker.is_reachable,
            "problem": worker.problem,
            "worker": worker.identity,
            "quorum": worker.quorum,
            "store_operations": worker.store_operations,
            "breakers": {link.name: {**_shown(link.shared), "holds_probe": link.holds} for link in memberships},
        }


class RedisFleet(Fleet):
    """A fleet that shares its state through Redis >= 5 or Valkey, on asyncio. Needs `pip install 'recloser[redis]'`.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`, with user, password and database.
        namespace: Fleets of different namespaces share nothing; 1 to 100 bytes of UTF-8.
        op_timeout_seconds: Longest wait for Redis (finite, > 0); only a call that is about to be the probe waits.
        connect_timeout_seconds: Longest wait for a connection (finite, > 0); no call waits for that.
        quorum: As of `Fleet`, like all that follow.
        lease_seconds: As of `Fleet`.
        poll_seconds: As of `Fleet`.
        report_gap_seconds: As of `Fleet`.
        random: As of `Fleet`.

    Raises:
        ImportError: redis-py is not installed.
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range; the message never holds the URL's credentials.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "default",
        op_timeout_seconds: float = 0.1,
        connect_timeout_seconds: float = 1.0,
        quorum: int = 2,
        lease_seconds: float = 5.0,
        poll_seconds: float = 1.0,
        report_gap_seconds: float = 0.025,
        random: Random = _RANDOM,
    ) -> None:
        def make_store() -> RedisStore:
            return RedisStore(
                url,
                namespace=namespace,
                op_timeout_seconds=op_timeout_seconds,
                connect_timeout_seconds=connect_timeout_seconds,
            )

        super().__init__(
            make_store,
            quorum=quorum,
            lease_seconds=lease_seconds,
            poll_seconds=poll_seconds,
            report_gap_seconds=report_gap_seconds,
            random=random,
        )
        self._label = repr(make_store()).replace("RedisStore", "RedisFleet", 1)

    def __repr__(self) -> str:
        """Name the server and the namespace, without credentials."""
        return self._label


def _what(control: Control) -> str:
    return f"{control.action.value} of circuit breaker {control.name!r}"


def _shown(shared: SharedState) -> dict[str, Any]:
    return {
        "state": shared.state.value,
        "generation": shared.generation,
        "trips": shared.trips,
        "author": shared.author,
        "reason": shared.reason,
    }
