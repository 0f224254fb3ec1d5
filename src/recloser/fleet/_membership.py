"""One breaker's membership in the fleet: what it knows of the fleet's state, and what it has to ask of the store.

Nothing in here waits for the store, except a caller that asks for the lease of a probe. The breaker reports what
happens (`transitioned`, `call_counted`, `probe_settled`, `probe_released`). The worker sends what follows from it
(`next_requests`, `poll`), and applies the replies and the messages of other workers (`apply_reply`, `apply`), which
move the breaker. A caller that asks for a lease waits for an event of its own, so that it can be cancelled at any time:
a lease that nobody waits for any more goes back.

Rules:

- Where a membership stands, and where each event leads, is one table: `_states.py`.
- A state counts if its generation is larger than the known one. While a request for the lease is in flight, the news
  that a probe runs is deferred until the reply: the probe may be our own.
- A lease is held until its probe has ended. Any larger generation fences it off.
- What a person does to this breaker alone, by its own `force_open()` or `disable()`, holds until its `reset()`.
- Reports keep their numbers until they are acknowledged, and are sent again with the same ones after a failure.
"""

from __future__ import annotations

import logging
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, cast
from weakref import ref

import anyio

from recloser._breaker.log import log
from recloser._core.fleet import Grant
from recloser._core.machine import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, OPEN
from recloser._core.states import Trigger
from recloser.fleet._known import KnownState
from recloser.fleet._lease import Lease
from recloser.fleet._policies import check_settings
from recloser.fleet._reporting import Reporting
from recloser.fleet._requests import LeaseRequest, OperationBuilder, Pending, StoreRequest, ignore_failure
from recloser.fleet._states import AUTHORITY, RECORD, MembershipState, MembershipTrigger, after
from recloser.fleet._store.reference import OTHER_VERSION
from recloser.fleet._store.values import MANUAL, Code, SharedState

if TYPE_CHECKING:
    from recloser._breaker.engine import Engine
    from recloser._breaker.fleet_port import FleetPort
    from recloser._core.events import Transition
    from recloser._core.settings import Settings
    from recloser.fleet._reporting import PendingReport
    from recloser.fleet._requests import EndedProbe, WorkerPort
    from recloser.fleet._store.values import Reply

_FIRING = RLock()
"""Held for the few instructions that change a state; by any thread, and by a finaliser in the middle of them."""


class Membership:
    """Connects a breaker with its fleet. The engine holds it through its port; it refers to the engine weakly.

    Args:
        engine: The breaker's engine.
        worker: The worker of this process.

    Attributes:
        name: The breaker's name.
        authority: Whom the breaker follows; one of the states of the region `AUTHORITY`.
        record: Whether the store's record can be used; one of the states of the region `RECORD`.
        lease: How far this process has come with the lease of a probe.
    """

    __slots__ = (
        "__weakref__",
        "_engine",
        "_known",
        "_logged_problem",
        "_operations",
        "_pending",
        "_reporting",
        "_worker",
        "authority",
        "lease",
        "name",
        "record",
    )

    def __init__(self, engine: Engine, worker: WorkerPort) -> None:
        self.name: str = engine.name
        self._engine = ref(engine)
        self._worker = worker
        self._known = KnownState(worker.now)
        self._operations = OperationBuilder(self.name, self._engine, engine.machine.settings, worker, self._known)
        self._reporting = Reporting(engine.machine, worker.next_sequence)
        self.authority: MembershipState = AUTHORITY[0]
        self.record: MembershipState = RECORD[0]
        self.lease: Lease = Lease()
        self._pending: dict[Pending, None] = {}
        self._logged_problem: str | None = None

    # As the breaker sees it

    @property
    def leads(self) -> bool:
        """Whether the fleet decides about probes: it is reachable and not closed."""
        worker = self._worker
        is_led = not self.is_overridden and self.record is MembershipState.READABLE
        return (
            is_led and self.shared.state in {OPEN, HALF_OPEN, FORCED_OPEN} and worker.is_reachable and worker.is_in_loop
        )

    @property
    def is_overridden(self) -> bool:
        """Whether a person has opened or disabled this breaker alone, so that the fleet does not move it."""
        return self.authority is MembershipState.OVERRIDDEN

    @property
    def is_asking(self) -> bool:
        """Whether a caller of this process waits for a lease."""
        return self.lease.request is not None

    async def request_lease(self) -> Grant | None:
        """Ask for the lease of a probe; None if another process has it, or the fleet does not answer in time.

        A caller that is cancelled gives back what it may still be granted.
        """
        lease = self.lease
        self.probe_released(lease.token)  # a lease that is still held has no probe, and would be in the way
        request = LeaseRequest()
        is_kept = False
        try:
            lease.request = request
            self._serve_caller()
            with anyio.move_on_after(self._worker.op_timeout_seconds):
                await request.wait()
            is_kept = request.grant is not None and request.grant.token == lease.token
            return request.grant if is_kept else None
        finally:
            if not request.is_answered:
                lease.fire(MembershipTrigger.GAVE_UP)
            elif request.grant is not None and not is_kept:
                self.probe_released(request.grant.token)
            lease.request = None

    def probe_released(self, token: int) -> None:
        """Record that a probe has ended; it counts as released unless `probe_settled()` follows in the same step."""
        if self.lease.release(token):
            self._worker.schedule(self, urgent=True)

    def probe_settled(self, token: int, *, passed: bool) -> None:
        """Record how a probe that counts has ended; the token is 0 if the fleet has not granted it."""
        self.lease.settle(token, passed=passed)

    def call_counted(self, duration: float) -> None:
        """Record a call that was counted outside the closed path, and how many seconds it took."""
        if self._reporting.has_rules:
            self._reporting.count(duration)
            self._worker.schedule(self, urgent=False)

    def transitioned(self, transition: Transition) -> None:
        """Record a transition that the breaker made by itself."""
        trigger = transition.cause.trigger
        if trigger is Trigger.FORCED_OPEN or trigger is Trigger.DISABLED:
            self._fire(MembershipTrigger.OVERRIDE)
        elif transition.new is OPEN and self.shared.state is CLOSED:
            self._pending[Pending.VOTE] = None
            self._worker.schedule(self, urgent=True)
        elif transition.new is CLOSED:
            self._reporting.restart()
            if self.is_overridden or trigger is Trigger.RESET:
                self._fire(MembershipTrigger.RESET)
                self._worker.schedule(self, urgent=True)

    def spread(self, open_seconds: float) -> float:
        """Return the seconds to add to a reset timeout, so that processes without the fleet don't probe together."""
        return 0.0 if self._worker.is_reachable else self._worker.fraction() * open_seconds / 2

    def check(self, settings: Settings) -> None:
        """Refuse settings that a fleet can't keep.

        Raises:
            ValueError: The message names the setting, its value and the range.
        """
        check_settings(settings)

    # As the worker sees it

    @property
    def engine(self) -> Engine | None:
        """The breaker's engine, None if it is gone."""
        return self._engine()

    @property
    def shared(self) -> SharedState:
        """The latest state of the fleet that is known here."""
        return self._known.shared

    @property
    def holds(self) -> bool:
        """Whether this process holds the lease of the probe."""
        return self.lease.is_held

    @property
    def has_requests(self) -> bool:
        """Whether there is anything to send."""
        return self.is_urgent or self._reporting.has_reports

    @property
    def is_urgent(self) -> bool:
        """Whether there is anything to send, or to do first, that can't wait."""
        pending, lease = self._pending, self.lease
        return (
            lease.result is not None
            or self.authority is MembershipState.REALIGNING
            or lease.state is MembershipState.ASKING
            or Pending.VOTE in pending
            or Pending.SYNC in pending
            or (Pending.PROOF in pending and not lease.is_in_flight)
        )

    def next_requests(self, now: float) -> list[StoreRequest]:
        """Return what to send now. Nothing else of this breaker belongs in the same batch."""
        if self.authority is MembershipState.REALIGNING:
            self._fire(MembershipTrigger.REALIGNED)
            self._sync_breaker()
        if self.lease.result is not None:
            return [self._report_result(self.lease.result)]
        engine = self.engine
        if engine is None:
            return []
        request = self._next_request(engine)
        return self._report(engine, now, with_successes=False) if request is None else [request]

    def _next_request(self, engine: Engine) -> StoreRequest | None:
        """Return what can't wait, the most pressing first."""
        local, lease = engine.machine.state, self.lease
        if lease.state is MembershipState.ASKING:
            lease.fire(MembershipTrigger.SENT)
            return self._acquire(lease.request)
        if not lease.is_in_flight and self._take_pending(Pending.PROOF) and local is CLOSED and not lease.is_held:
            lease.fire(MembershipTrigger.PROOF_SENT)
            return self._acquire(None)
        if self._take_pending(Pending.VOTE) and local in {OPEN, HALF_OPEN} and self.shared.state is CLOSED:
            return self._vote(engine)
        return self.sync_request() if self._take_pending(Pending.SYNC) else None

    def _take_pending(self, kind: Pending) -> bool:
        """Take something off the list; return whether it was on it. One operation: another thread may add to it."""
        return self._pending.pop(kind, kind) is None

    def poll(self, now: float) -> list[StoreRequest]:
        """Return what to send from time to time: reports of calls, or else a question for the state."""
        engine = self.engine
        if engine is None:
            return []
        self._reporting.sample(now)
        return self._report(engine, now, with_successes=True) or [self.sync_request()]

    def join(self) -> None:
        """Ask for the state of a breaker that is new."""
        self._pending[Pending.SYNC] = None
        self._worker.schedule(self, urgent=True)

    def sync_request(self) -> StoreRequest:
        """Return the question for the state."""
        return StoreRequest(self._operations.sync(), self.apply_reply, ignore_failure)

    def renewal(self, token: int) -> StoreRequest | None:
        """Return the request that extends a lease; None if its probe has ended."""
        engine = self.engine
        if token != self.lease.token:
            return None
        if engine is None or not _port(engine).is_probing(token):
            self.probe_released(token)
            return None
        return StoreRequest(self._operations.renew(token), self.apply_reply, ignore_failure)

    def drain(self) -> list[StoreRequest]:
        """Return what to send before the worker stops: how the last probe ended, or that its lease is free."""
        self.probe_released(self.lease.token)
        return [] if self.lease.result is None else [self._report_result(self.lease.result)]

    def degrade(self) -> None:
        """Let the breaker decide alone: the store is unreachable."""
        self.lease.give_up()
        engine = self.engine
        is_open = self.shared.state in {OPEN, HALF_OPEN}
        if engine is not None and is_open and not self.is_overridden:
            _port(engine).delay(self.spread(engine.machine.open_seconds))

    def reconcile(self, reply: Reply, now: float) -> None:
        """Apply the first reply after an outage of the store, and settle the differences."""
        engine = self.engine
        known = self.shared.generation
        self._take_pending(Pending.SYNC)
        is_usable = self.apply_reply(reply)
        if engine is None or not is_usable:
            return
        if self.shared.state is HALF_OPEN and self.shared.author == self._worker.identity:
            self.lease.release_lost(self.shared.generation)
        self._reporting.sample(now)
        self._reporting.resend(self.shared.generation, now)
        local, shared = engine.machine.state, self.shared
        is_over = self._known.left_us() == 0 and shared.state not in MANUAL
        if shared.state is CLOSED:
            if local in {OPEN, HALF_OPEN}:
                self._pending[Pending.VOTE] = None
        elif shared.generation == known and local is CLOSED and is_over:
            self._pending[Pending.PROOF] = None
        elif shared.generation == known and local is not shared.state:
            self._sync_breaker()
        if self.holds:
            self._worker.renew(self, self.lease.token, self._longest_probe())
        if self.has_requests:
            self._worker.schedule(self, urgent=True)

    # Requests and their replies

    def _acquire(self, request: LeaseRequest | None) -> StoreRequest:
        """Ask for the lease: for a caller, or for the proof that the dependency works."""
        done = partial(self._answer_lease_request, request)
        return StoreRequest(self._operations.acquire(), done, self.lease.give_up)

    def _answer_lease_request(self, request: LeaseRequest | None, reply: Reply) -> None:
        lease, was = self.lease, self.lease.state
        if reply.code is Code.DONE and reply.shared.generation > self.shared.generation:
            lease.grant(reply.shared.generation)
            self._known.update(reply.shared)
        else:
            lease.fire(MembershipTrigger.REFUSED)
            self.apply_reply(reply)
        deferred, lease.deferred = lease.deferred, None
        if deferred is not None and deferred.generation > self.shared.generation:
            self.apply(deferred)
        grant = None
        if was is MembershipState.PROVING:
            lease.prove()
        elif was is MembershipState.ACQUIRING and lease.token:
            self._worker.renew(self, lease.token, self._longest_probe())
            grant = Grant(lease.token, reply.shared.passed)
        else:
            lease.release(lease.token)
        if request is not None:
            request.answer(grant)
        self._serve_caller()

    def _serve_caller(self) -> None:
        """Ask for the caller that waits, once no other request is in flight: two would mistake each other's lease."""
        self.lease.begin_request()
        if self.has_requests:
            self._worker.schedule(self, urgent=True)

    def _report_result(self, ended: EndedProbe) -> StoreRequest:
        lease = self.lease
        lease.result = None

        def failed() -> None:
            if lease.result is None and self.shared.generation <= ended.token:
                lease.result = ended

        return StoreRequest(self._operations.result(ended), self.apply_reply, failed)

    def _vote(self, engine: Engine) -> StoreRequest:
        def done(reply: Reply) -> None:
            self.apply_reply(reply)
            if reply.code is Code.TOO_LATE or (reply.code is Code.REFUSED and reply.shared.state is CLOSED):
                self._pending[Pending.VOTE] = None
                self._worker.schedule(self, urgent=False)

        def failed() -> None:
            self._pending[Pending.VOTE] = None

        return StoreRequest(self._operations.vote(engine.machine.open_seconds), done, failed)

    def _report(self, engine: Engine, now: float, *, with_successes: bool) -> list[StoreRequest]:
        machine = engine.machine
        if self.shared.state is not CLOSED or machine.state is not CLOSED:
            return []
        self._reporting.prepare(self.shared.generation, now, with_successes=with_successes)
        backoff, random = machine.settings.backoff, machine.random
        return [self._report_of(pending, backoff.open_seconds(1, random)) for pending in self._reporting.take()]

    def _report_of(self, pending: PendingReport, open_seconds: float) -> StoreRequest:
        def done(reply: Reply) -> None:
            self.apply_reply(reply)
            if reply.code is Code.TOO_LATE:
                self._reporting.resend(self.shared.generation, self._worker.now())
            else:
                self._reporting.acknowledge(pending)
            if self.has_requests:
                self._worker.schedule(self, urgent=False)

        return StoreRequest(self._operations.report(pending, open_seconds), done, ignore_failure)

    # What is known

    def current(self) -> SharedState:
        """Return the latest state of the fleet that is known here, with the time that is left now."""
        return self._known.current()

    def apply(self, shared: SharedState) -> None:
        """Follow the fleet's state, if it is news."""
        if shared.generation < self.shared.generation:
            return
        if self.lease.is_in_flight and shared.state is HALF_OPEN:
            self.lease.deferred = shared
            return
        is_news = shared.generation > self.shared.generation
        self._known.update(shared)
        self.lease.fence(shared.generation)
        engine = self.engine
        is_waiting = engine is not None and engine.machine.state is HALF_OPEN is shared.state
        if is_news or is_waiting:  # for the end of a lease, which may have been renewed
            self._sync_breaker()

    def apply_reply(self, reply: Reply) -> bool:
        """Follow the state that a reply holds; return whether the store's record can be used."""
        if reply.code is Code.DAMAGED:
            is_usable = reply.problem != OTHER_VERSION
            self._fire(MembershipTrigger.USABLE if is_usable else MembershipTrigger.UNUSABLE)
            self._log_problem(reply.problem, is_usable=is_usable)
            return is_usable
        self._fire(MembershipTrigger.USABLE)
        if reply.code is Code.IMPLAUSIBLE:
            message = "Circuit breaker %r: the generation known here is far ahead of the store's clock; it is dropped"
            log(logging.WARNING, message, self.name)
            self._known.update(SharedState())
            self.lease.forget()
        self.apply(reply.shared)
        return True

    def _log_problem(self, problem: str | None, *, is_usable: bool) -> None:
        """Log once why the store's record can't be used."""
        if problem != self._logged_problem:
            self._logged_problem = problem
            what = "the fleet goes on with what its workers know" if is_usable else "it decides alone meanwhile"
            message = "Circuit breaker %r: its record in the fleet's store can't be used: %s; %s"
            log(logging.WARNING, message, self.name, problem, what)

    # Changing state

    def _fire(self, trigger: MembershipTrigger) -> None:
        with _FIRING:  # another thread may override the breaker now
            self.authority = after(self.authority, trigger)
            self.record = after(self.record, trigger)

    def _sync_breaker(self) -> None:
        """Move the breaker to where the fleet is."""
        engine, shared = self.engine, self.shared
        if engine is None or self.is_overridden or not self._worker.is_reachable:
            return
        if shared.state is HALF_OPEN and shared.generation == self.lease.token:
            return
        if shared.state is CLOSED and engine.machine.state is CLOSED and not shared.reason:
            return
        _port(engine).follow(self._known.to_follow())
        if shared.state in {CLOSED, DISABLED}:
            self._reporting.restart()

    def _longest_probe(self) -> float:
        engine = self.engine
        return 0.0 if engine is None else engine.machine.settings.probe_limit(engine.machine.open_seconds)


def _port(engine: Engine) -> FleetPort:
    return cast("FleetPort", engine.port)
