"""The fleet: the public classes."""

from __future__ import annotations

from dataclasses import replace
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any

import anyio

from recloser._breaker.breaker import CircuitBreaker
from recloser._breaker.fleet_port import FleetPort
from recloser._core import checks
from recloser._core.slots import check_synchronous, checked
from recloser.errors import FleetError, FleetStoreError
from recloser.fleet._membership import Membership
from recloser.fleet._policies import check_settings
from recloser.fleet._store.operations import MOST_NAME_BYTES, Control, check_name
from recloser.fleet._store.redis import RedisStore
from recloser.fleet._store.values import MOST_WORKERS, Action, Code, SharedState, microseconds
from recloser.fleet._worker import NOT_RUNNING, Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from recloser._core.settings import Settings
    from recloser.fleet._store.values import Reply
    from recloser.fleet.store import FleetStore

_RANDOM = SystemRandom()
_CALLS = {Action.FORCE_OPEN: "force_open()", Action.DISABLE: "disable()", Action.RESET: "reset()"}


class Fleet:
    """Lets breakers of the same name in many processes share one state: `BreakerRegistry(fleet=fleet)`.

    `async with fleet:` runs the tasks of the fleet in a task group of its own. Outside the block, and while the store
    is unreachable, each breaker decides alone. Only the call that is about to be the probe waits for the store, and for
    at most the store's time limit. No error of the store reaches a caller.

    Rules over a time window (`FailureRate`, `FailureCount`, `SlowCallRate` on a `TimeWindow`) are evaluated on the sums
    of all workers. Under all other rules, each worker votes once its own rule has opened it. Either way the fleet opens
    only on the evidence of `quorum` distinct workers; a single worker with failures opens itself only. Then one probe
    goes through in all processes together, and its outcome counts for all of them.

    Args:
        make_store: Returns a new store; called each time that the fleet is entered.
        quorum: Distinct workers with evidence that open the fleet, 1 to 100. With 1, a single worker with a broken
            network opens the circuit of all workers.
        lease_seconds: How long a probe is exclusive if its process does not renew the lease (finite, > 0). A process
            renews it three times in this time, so that one that dies delays recovery by this much. Use the same value
            in all workers.
        poll_seconds: How often to ask for each breaker's state, to make up for lost messages (finite, > 0).
        report_gap_seconds: Least time between two batches of reports, on average (finite, >= 0).
        random: The source of all jitter; None means that of the operating system.

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
        random: Random | None = None,
    ) -> None:
        if not callable(make_store):
            raise TypeError(f"make_store must be a function that returns a store, not {make_store!r}")
        check_synchronous("make_store", make_store, "function that returns a store")
        random = _RANDOM if random is None else random
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
        """Start sharing. Returns once the state of all breakers is known, or the store has proved unreachable.

        Raises:
            RuntimeError: The fleet is running already, or the store does not run in this event loop.
        """
        if self._group is not None:
            raise RuntimeError("this fleet is running already; use one per event loop")
        store = self._store = checked("make_store", self._make_store())
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
        """Stop sharing: report how the last probes ended and close all connections, within the time limit."""
        group, store = self._group, self._store
        if group is None or store is None:
            raise RuntimeError(NOT_RUNNING)
        self._group = self._store = None
        with anyio.CancelScope(shield=True):
            await self._worker.finish()
            await store.aclose()
        group.cancel_scope.shield = True
        group.cancel_scope.cancel()
        await group.__aexit__(None, None, None)  # without the error of the body, which a group would wrap

    # Membership

    def join(self, breaker: CircuitBreaker) -> None:
        """Let a breaker share its state with breakers of its name in other processes; registries do it by themselves.

        Raises:
            TypeError: The argument is not a circuit breaker.
            ValueError: The name has more than 200 bytes in UTF-8, another breaker of this process has it, the breaker
                belongs to another fleet, or it makes more than one probe at a time.
        """
        if not isinstance(breaker, CircuitBreaker):
            raise TypeError(f"breaker must be a CircuitBreaker, not {breaker!r}")
        name, engine = breaker.name, breaker.engine
        membership = self._worker.memberships.get(name)
        if membership is not None and membership.engine is not None:
            if membership.engine is engine:
                return
            raise ValueError(f"another circuit breaker of this process has joined the fleet as {name!r}")
        if engine.port is not None:
            raise ValueError(f"circuit breaker {name!r} belongs to another fleet already")
        check_name("name", name, MOST_NAME_BYTES)
        check_settings(engine.machine.settings)
        membership = Membership(engine, self._worker)
        self._worker.memberships[name] = membership
        engine.port = FleetPort(engine, membership)
        engine.refresh()
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
            reason: Why. Rejected callers, logs and health show it with the author; 200 characters are kept.
            author: Who does it; 200 characters are kept.
            for_seconds: After this time (finite, > 0) the next call is a probe; None: until `reset()`.

        Raises:
            FleetError: The store is unreachable, and nothing has changed; or it did not answer in time, and the action
                may have taken effect.
            TypeError: An argument is of the wrong type.
            ValueError: An argument is out of its range.
        """
        await self._control(name, Action.FORCE_OPEN, reason, author, for_seconds)

    async def disable(self, name: str, reason: str, *, author: str = "", for_seconds: float | None = None) -> None:
        """Admit all calls in all processes and never trip, until `reset()` or for the given time; then close.

        Arguments and errors are those of `force_open()`.
        """
        await self._control(name, Action.DISABLE, reason, author, for_seconds)

    async def reset(self, name: str, reason: str, *, author: str = "") -> None:
        """Close the breaker in all processes, whatever its state. Errors are those of `force_open()`."""
        await self._control(name, Action.RESET, reason, author, None)

    async def _control(self, name: str, action: Action, reason: str, author: str, for_seconds: float | None) -> None:
        membership = self._worker.memberships.get(name)
        control = Control(
            name=name,
            action=action,
            reason=reason,
            author=author,
            for_us=None if for_seconds is None else max(1, microseconds(checks.seconds("for_seconds", for_seconds))),
        )
        reply = await self._send(control, membership)
        if reply.code is not Code.DONE:  # the first attempt may have dropped a damaged record that stood in its way
            reply = await self._send(control, membership)
        if reply.code is not Code.DONE:
            why = reply.problem or "it arrived too late"
            raise FleetError(f"{_what(control)} was not carried out: {why}; nothing has changed, try again")

    async def _send(self, control: Control, membership: Membership | None) -> Reply:
        worker = self._worker
        known = SharedState() if membership is None else membership.current()
        try:
            reply = await worker.carry_out(replace(control, known=known, not_after_us=worker.not_after_us()))
        except FleetStoreError as error:
            raise FleetError(f"{_what(control)} may not have reached the fleet: {error}") from None
        if membership is not None:
            membership.apply_reply(reply)
        return reply

    # Reading

    @property
    def is_connected(self) -> bool:
        """Whether the store is reachable. If it is not, each breaker decides alone."""
        return self._worker.is_reachable

    def status(self) -> dict[str, Any]:
        """Return what this process knows of the fleet, ready for JSON. Any thread may call it.

        The keys are `connected`, `problem` (why it is not connected, or None), `worker`, `quorum`, `store_operations`
        (so far), and `breakers`. Each of these has its `state`, `generation`, `trips`, `holds_probe` (whether this
        process runs the probe), and the `author` and `reason` of a manual state. In half-open, the author is the
        `worker` that runs the probe.
        """
        worker = self._worker
        memberships = sorted(worker.memberships.values(), key=lambda membership: membership.name)
        return {
            "connected": worker.is_reachable,
            "problem": worker.problem,
            "worker": worker.identity,
            "quorum": worker.quorum,
            "store_operations": worker.store_operations,
            "breakers": {each.name: {**_shown(each.shared), "holds_probe": each.holds} for each in memberships},
        }


class RedisFleet(Fleet):
    """A fleet that shares its state through Redis, on asyncio. Needs `pip install 'recloser[redis]'`.

    Redis has to be 5 or newer; Valkey should work, but is not tested.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`, with user, password and database.
        namespace: Fleets of different namespaces share nothing; 1 to 100 bytes of UTF-8.
        op_timeout_seconds: Longest wait for Redis (finite, > 0); only a call that is about to be the probe waits.
        connect_timeout_seconds: Longest wait for a connection (finite, > 0); no call waits for it.
        quorum: As for `Fleet`, like all arguments that follow.
        lease_seconds: As for `Fleet`.
        poll_seconds: As for `Fleet`.
        report_gap_seconds: As for `Fleet`.
        random: As for `Fleet`.

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
        random: Random | None = None,
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
    return f"{_CALLS[control.action]} of circuit breaker {control.name!r}"


def _shown(shared: SharedState) -> dict[str, Any]:
    return {
        "state": shared.state.value,
        "generation": shared.generation,
        "trips": shared.trips,
        "author": shared.author,
        "reason": shared.reason,
    }
