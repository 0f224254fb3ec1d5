"""One breaker's place in the fleet: what is known of the fleet's state, and what is to be told to the store.

Nothing in here waits for the store. The breaker leaves word (`ended`, `judged`, `counted`, `noted`), the worker fetches
what follows from it as requests (`work`, `poll`), and their replies, like the messages of other workers, move the
breaker (`learn`). A caller that asks for a probe waits for an event of its own, so that it may be cancelled at any
time: a grant that nobody waits for any more is given back.

Rules:

- A state is believed if its generation is larger than the known one. While a probe is asked for, word that one is
  under way is put aside: it may be our own.
- A probe that was granted has its token here until it is over, and is fenced off by any larger generation.
- What a person did to this breaker alone, by its own `force_open()` or `disable()`, holds until its `reset()`.
- Reports keep their numbers until they are acknowledged, and are made again with the same ones after a failure.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from weakref import ref

import anyio

from recloser._breaker.dispatch import log
from recloser._core.fleet import FleetState, Grant
from recloser._core.machine import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, OPEN
from recloser._core.states import Trigger
from recloser.fleet._policies import policy_of
from recloser.fleet._reporting import Reporting
from recloser.fleet.requests import StoreRequest, nothing
from recloser.fleet.store.operations import Acquire, Renew, Report, Result, Sync, Vote
from recloser.fleet.store.reference import OTHER_VERSION
from recloser.fleet.store.values import MANUAL, Code, ProbeResult, SharedState

if TYPE_CHECKING:
    from recloser._breaker.engine import Engine
    from recloser._breaker.fleet_port import FleetPort
    from recloser._core.events import Transition
    from recloser._core.settings import Settings
    from recloser.fleet._reporting import Pending
    from recloser.fleet.requests import WorkerPort
    from recloser.fleet.store.values import FleetPolicy, Reply


UNKNOWN = SharedState()
"""What is known of a breaker of which nothing was heard: it is closed."""


class LeaseRequest:
    """A caller that waits for the answer to its asking for a probe."""

    __slots__ = ("answered", "grant", "is_abandoned", "is_sent")

    def __init__(self) -> None:
        self.answered = anyio.Event()
        self.grant: Grant | None = None
        self.is_sent = False
        self.is_abandoned = False

    def answer(self, grant: Grant | None) -> None:
        """Answer it."""
        self.grant = grant
        self.answered.set()


class Ended(NamedTuple):
    """How a probe ended that the fleet had granted.

    Attributes:
        token: What the fleet knows it by.
        result: How it ended.
        is_proof: Whether the breaker had closed by itself before: this one call closes the fleet too.
    """

    token: int
    result: ProbeResult
    is_proof: bool = False


class Membership:
    """The link between a breaker and its fleet; the breaker holds it, and it does not hold the breaker.

    Args:
        engine: The engine of the breaker.
        worker: The worker of this process.
    """

    __slots__ = (
        "__weakref__",
        "_engine",
        "_is_acquiring",
        "_is_damaged",
        "_is_overridden",
        "_lease_request",
        "_proves",
        "_put_aside",
        "_realigns",
        "_received",
        "_reporting",
        "_result",
        "_settings",
        "_syncs",
        "_token",
        "_told_problem",
        "_votes",
        "_worker",
        "name",
        "shared",
    )

    def __init__(self, engine: Engine, worker: WorkerPort) -> None:
        self.name = engine.name
        self._engine = ref(engine)
        self._worker = worker
        self._settings = engine.machine.settings
        self.shared = UNKNOWN
        self._received = 0.0
        self._is_overridden = False
        self._is_damaged = False
        self._told_problem: str | None = None
        self._lease_request: LeaseRequest | None = None
        self._is_acquiring = False
        self._put_aside: SharedState | None = None
        self._token = 0
        self._result: Ended | None = None
        self._votes = False
        self._proves = False
        self._syncs = False
        self._realigns = False
        self._reporting = Reporting(engine.machine, worker.next_sequence)

    # As the breaker sees it

    @property
    def leads(self) -> bool:
        """Whether the fleet decides about probes: it is reachable, and not closed."""
        worker = self._worker
        is_led = self.shared.state in {OPEN, HALF_OPEN, FORCED_OPEN} and not (self._is_overridden or self._is_damaged)
        return is_led and worker.is_up and worker.is_here

    @property
    def is_asking(self) -> bool:
        """Whether a caller of this process waits for a probe."""
        return self._lease_request is not None

    async def ask(self) -> Grant | None:
        """Ask for the probe; None if another process makes it, or the fleet does not answer in time.

        Cancelled, it gives back what may still be granted.
        """
        lease_request = self._lease_request = LeaseRequest()
        self._worker.schedule(self, urgent=True)
        is_kept = False
        try:
            with anyio.move_on_after(self._worker.op_timeout_seconds):
                await lease_request.answered.wait()
            is_kept = lease_request.grant is not None and lease_request.grant.token == self._token
            return lease_request.grant if is_kept else None
        finally:
            lease_request.is_abandoned = True
            if lease_request.grant is not None and not is_kept:
                self.ended(lease_request.grant.token)
            self._lease_request = None

    def ended(self, token: int) -> None:
        """Take note that a probe is over; it counts as released unless `judged()` says more in the same step."""
        if token and token == self._token:
            self._token = 0
            self._result = Ended(token, ProbeResult.RELEASED)
            self._worker.schedule(self, urgent=True)

    def judged(self, token: int, *, passed: bool) -> None:
        """Take note of how a probe ended that counts; the token is 0 if the fleet has not granted it."""
        if self._result is not None and self._result.token == token:
            self._result = Ended(token, ProbeResult.SUCCEEDED if passed else ProbeResult.FAILED)

    def counted(self, duration: float) -> None:
        """Take note of a call that was counted off the closed path, and of how many seconds it took."""
        if self._reporting.counts:
            self._reporting.counted(duration)
            self._worker.schedule(self, urgent=False)

    def noted(self, transition: Transition) -> None:
        """Take note of a transition that the breaker made by itself."""
        trigger = transition.cause.trigger
        if trigger is Trigger.FORCED_OPEN or trigger is Trigger.DISABLED:
            self._is_overridden = True
        elif transition.new is OPEN and self.shared.state is CLOSED:
            self._votes = True
            self._worker.schedule(self, urgent=True)
        elif transition.new is CLOSED:
            self._reporting.restart()
            if self._is_overridden or trigger is Trigger.RESET:
                self._is_overridden, self._realigns = False, True
                self._worker.schedule(self, urgent=True)

    def spread(self, open_seconds: float) -> float:
        """Return by how many seconds a reset timeout is made longer, so that processes without a fleet do not meet."""
        return 0.0 if self._worker.is_up else self._worker.fraction() * open_seconds / 2

    def check(self, settings: Settings) -> None:
        """Refuse settings that a fleet can't keep.

        Raises:
            ValueError: The message names the setting, its value and the range.
        """
        check_settings(settings)

    # As the worker sees it

    @property
    def engine(self) -> Engine | None:
        """The engine of the breaker, None if it is gone."""
        return self._engine()

    @property
    def holds(self) -> bool:
        """Whether this process makes the probe."""
        return bool(self._token)

    @property
    def has_work(self) -> bool:
        """Whether `work()` has something to do."""
        return self.is_urgent or self._reporting.has_work

    @property
    def is_urgent(self) -> bool:
        """Whether `work()` has something to do that can't wait."""
        lease_request = self._lease_request
        is_asked = self._proves or (lease_request is not None and not lease_request.is_sent)
        wants = self._result or self._votes or self._realigns or self._syncs
        return bool(wants or (is_asked and not self._is_acquiring))

    def work(self, now: float) -> list[StoreRequest]:
        """Return what is to be told to the store now: nothing else of this breaker goes into the same batch."""
        engine = self.engine
        if self._realigns:
            self._realigns = False
            self._sync_breaker()
        if self._result is not None:
            return [self._tell_result(self._result)]
        if engine is None:
            return []
        request = self._next(engine)
        return self._report(engine, now, with_successes=False) if request is None else [request]

    def _next(self, engine: Engine) -> StoreRequest | None:
        """Return what can't wait, the most pressing first."""
        state = engine.machine.state
        lease_request = self._lease_request
        if lease_request is not None and not lease_request.is_sent and not self._is_acquiring:
            lease_request.is_sent = True
            return self._acquire(lease_request)
        if self._proves and not self._is_acquiring:
            self._proves = False
            if state is CLOSED:
                return self._acquire(None)
        if self._votes:
            self._votes = False
            if state in {OPEN, HALF_OPEN} and self.shared.state is CLOSED:
                return self._vote(engine)
        if self._syncs:
            self._syncs = False
            return self.sync()
        return None

    def poll(self, now: float) -> list[StoreRequest]:
        """Return what is told to the store from time to time: calls to report, else a question for the state."""
        engine = self.engine
        if engine is None:
            return []
        self._reporting.remember(now)
        return self._report(engine, now, with_successes=True) or [self.sync()]

    def join(self) -> None:
        """Have the state asked for: the breaker is new."""
        self._syncs = True
        self._worker.schedule(self, urgent=True)

    def sync(self) -> StoreRequest:
        """Return the question for the state."""
        return StoreRequest(Sync(name=self.name, known=self.known()), self.take, nothing)

    def renewal(self, token: int) -> StoreRequest | None:
        """Return the request that extends a lease; None if its probe is over."""
        engine = self.engine
        if token != self._token:
            return None
        if engine is None or not _port(engine).is_probing(token):
            self.ended(token)
            return None
        renew = Renew(**self._common(), not_after_us=self._worker.not_after_us(), token=token)
        return StoreRequest(renew, self.take, nothing)

    def apply(self, shared: SharedState) -> None:
        """Take note of the fleet's state, if it is news, and follow it."""
        if shared.generation < self.shared.generation:
            return
        if self._is_acquiring and shared.state is HALF_OPEN:
            self._put_aside = shared
            return
        is_news = shared.generation > self.shared.generation
        self.shared = shared
        self._received = self._worker.now()
        if self._token and shared.generation > self._token:
            self._token = 0
        engine = self.engine
        waits = engine is not None and engine.machine.state is HALF_OPEN is shared.state
        if is_news or waits:  # for the end of a lease, which may have been renewed
            self._sync_breaker()

    def drain(self) -> list[StoreRequest]:
        """Return what the store is told before the worker stops: how the last probe ended, or that it is free."""
        self.ended(self._token)
        return [] if self._result is None else [self._tell_result(self._result)]

    def reconcile(self, reply: Reply, now: float) -> None:
        """Take the first reply after the store was unreachable, and settle what came apart meanwhile."""
        engine = self.engine
        known = self.shared.generation
        self._syncs = False
        self.take(reply)
        if engine is None or self._is_damaged:
            return
        self._release_what_was_lost()
        self._reporting.remember(now)
        self._reporting.send_again(self.shared.generation, now)
        local, shared = engine.machine.state, self.shared
        if shared.state is CLOSED:
            self._votes = local in {OPEN, HALF_OPEN}
        elif shared.generation == known and local is CLOSED and shared.state not in MANUAL and not self._left_us():
            self._proves = True
        elif shared.generation == known and local is not shared.state:
            self._sync_breaker()
        if self._token:
            self._worker.renew(self, self._token, self._longest_probe())
        if self.has_work:
            self._worker.schedule(self, urgent=True)

    def _release_what_was_lost(self) -> None:
        """Leave a probe to others that was granted to this process in a reply which never came."""
        shared, ended = self.shared, self._result
        is_ours = shared.state is HALF_OPEN and shared.author == self._worker.identity
        if is_ours and shared.generation != self._token and (ended is None or ended.token != shared.generation):
            self._result = Ended(shared.generation, ProbeResult.RELEASED)

    def degrade(self) -> None:
        """Take note that the store is unreachable."""
        self._is_acquiring, self._put_aside = False, None
        if self._lease_request is not None:
            self._lease_request.answer(None)
        engine = self.engine
        if engine is not None and self.shared.state in {OPEN, HALF_OPEN} and not self._is_overridden:
            _port(engine).delay(self.spread(engine.machine.open_seconds))

    # Store requests

    def _tell_result(self, ended: Ended) -> StoreRequest:
        self._result = None
        common = self._common()
        if ended.is_proof:
            common["policy"] = replace(common["policy"], success_threshold=1)

        def failed() -> None:
            if self._result is None and self.shared.generation <= ended.token:
                self._result = ended

        return StoreRequest(Result(**common, token=ended.token, result=ended.result), self.take, failed)

    def _acquire(self, lease_request: LeaseRequest | None) -> StoreRequest:
        """Ask for the probe: for a caller, or to tell of one that succeeded while the store was unreachable."""
        self._is_acquiring = True

        def done(reply: Reply) -> None:
            self._is_acquiring = False
            granted = reply.code is Code.DONE and reply.shared.generation > self.shared.generation
            if granted:
                self.shared, self._received = reply.shared, self._worker.now()
                self._token = reply.shared.generation
            else:
                self.take(reply)
            aside, self._put_aside = self._put_aside, None
            if aside is not None and aside.generation > self.shared.generation:
                self.apply(aside)
            if lease_request is None:
                self._prove()
            elif granted and self._token and not lease_request.is_abandoned:
                self._worker.renew(self, self._token, self._longest_probe())
                lease_request.answer(Grant(self._token, reply.shared.passed))
            else:
                self.ended(self._token if granted else 0)
                lease_request.answer(None)
            if self.has_work:  # who came meanwhile has waited: two that ask at once take each other for a stranger
                self._worker.schedule(self, urgent=True)

        def failed() -> None:
            self._is_acquiring = False
            if lease_request is not None:
                lease_request.answer(None)

        acquire = Acquire(**self._common(), not_after_us=self._worker.not_after_us(), worker=self._worker.identity)
        return StoreRequest(acquire, done, failed)

    def _prove(self) -> None:
        """Tell of a probe that succeeded here, if the fleet lets us."""
        token, self._token = self._token, 0
        if token:
            self._result = Ended(token, ProbeResult.SUCCEEDED, is_proof=True)
            self._worker.schedule(self, urgent=True)

    def _vote(self, engine: Engine) -> StoreRequest:
        generation = self.shared.generation
        vote = Vote(
            **self._common(engine.machine.open_seconds),
            not_after_us=self._worker.not_after_us(),
            worker=self._worker.identity,
            closed_generation=generation,
        )

        def done(reply: Reply) -> None:
            self.take(reply)
            if reply.code is Code.TOO_LATE or (reply.code is Code.REFUSED and reply.shared.state is CLOSED):
                self._votes = True
                self._worker.schedule(self, urgent=False)

        def failed() -> None:
            self._votes = True

        return StoreRequest(vote, done, failed)

    def _report(self, engine: Engine, now: float, *, with_successes: bool) -> list[StoreRequest]:
        machine = engine.machine
        if self.shared.state is not CLOSED or machine.state is not CLOSED:
            return []
        self._reporting.draw(self.shared.generation, now, with_successes=with_successes)
        return [self._request_of(engine, pending) for pending in self._reporting.take()]

    def _request_of(self, engine: Engine, pending: Pending) -> StoreRequest:
        machine = engine.machine
        report = Report(
            **self._common(machine.settings.backoff.open_seconds(1, machine.random)),
            not_after_us=self._worker.not_after_us(),
            worker=self._worker.identity,
            closed_generation=pending.closed_generation,
            rule=pending.tally.rule,
            sequence=pending.sequence,
            hits=pending.draw.hits,
            total=pending.draw.total,
        )

        def done(reply: Reply) -> None:
            self.take(reply)
            if reply.code is Code.TOO_LATE:
                self._reporting.send_again(self.shared.generation, self._worker.now())
            else:
                self._reporting.acknowledge(pending)
            if self.has_work:
                self._worker.schedule(self, urgent=False)

        return StoreRequest(report, done, nothing)

    # What is known

    def take(self, reply: Reply) -> None:
        """Take note of what a reply says."""
        if reply.code is Code.DAMAGED:
            self._is_damaged = reply.problem == OTHER_VERSION
            if reply.problem != self._told_problem:
                self._told_problem = reply.problem
                what = (
                    "it decides alone meanwhile" if self._is_damaged else "the fleet goes on with what its workers know"
                )
                message = "Circuit breaker %r: what the fleet's store holds of it can't be used: %s; %s"
                log(logging.WARNING, message, self.name, reply.problem, what)
            return
        self._is_damaged = False
        if reply.code is Code.IMPLAUSIBLE:
            message = "Circuit breaker %r: the generation known here lies in the store's future; it is forgotten"
            log(logging.WARNING, message, self.name)
            self.shared = SharedState()
            self._received = self._worker.now()
            self._token = 0
        self.apply(reply.shared)

    def known(self) -> SharedState:
        """Return what is known, with the time that is left now."""
        left = self._left_us()
        return self.shared if left is None or not self.shared.remaining_us else replace(self.shared, remaining_us=left)

    def _left_us(self) -> int | None:
        """Return the microseconds until the fleet's state ends; None if it has no end."""
        if self.shared.remaining_us is None:
            return None
        elapsed = max(0.0, self._worker.now() - self._received)
        return max(0, self.shared.remaining_us - round(elapsed * 1_000_000))

    def _common(self, open_seconds: float | None = None) -> dict[str, Any]:
        """Return what all operations of this breaker carry."""
        return {"name": self.name, "known": self.known(), "policy": self._policy(open_seconds)}

    def _policy(self, open_seconds: float | None) -> FleetPolicy:
        engine, worker = self.engine, self._worker
        if engine is not None:
            machine = engine.machine
            self._settings = machine.settings
            if open_seconds is None:
                open_seconds = machine.open_seconds or machine.settings.backoff.open_seconds(1, machine.random)
        return policy_of(self._settings, open_seconds or 0.0, quorum=worker.quorum, lease_seconds=worker.lease_seconds)

    # Moving the breaker

    def _sync_breaker(self) -> None:
        """Have the breaker follow the fleet."""
        engine, shared = self.engine, self.shared
        if engine is None or self._is_overridden or not self._worker.is_up:
            return
        if shared.state is HALF_OPEN and shared.generation == self._token:
            return
        if shared.state is CLOSED and engine.machine.state is CLOSED and not shared.reason:
            return
        left = self._left_us()
        reason = None
        if shared.state is not HALF_OPEN and (shared.reason or shared.author or shared.state in MANUAL):
            author = f" ({shared.author})" if shared.author else ""
            reason = " ".join(f"{shared.reason or 'no reason given'}{author}".split())
        seconds = None if left is None else left / 1_000_000
        _port(engine).follow(FleetState(shared.state, seconds, shared.trips, reason))
        if shared.state in {CLOSED, DISABLED}:
            self._reporting.restart()

    def _longest_probe(self) -> float:
        engine = self.engine
        return 0.0 if engine is None else engine.machine.settings.probe_limit(engine.machine.open_seconds)


def _port(engine: Engine) -> FleetPort:
    return cast("FleetPort", engine.port)


def check_settings(settings: Settings) -> None:
    """Refuse settings that a fleet can't keep.

    Raises:
        ValueError: The message names the setting, its value and the range.
    """
    if settings.max_probes > 1:
        raise ValueError(f"max_probes must be 1 in a fleet, which makes one probe at a time, not {settings.max_probes}")
