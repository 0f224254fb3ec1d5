"""The machine, step by step against the model: whatever happens in whatever order, the two agree."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recloser._core.machine import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, OPEN, Probe, Ticket
from recloser._core.settings import Settings
from recloser._core.states import TRANSITIONS, Trigger
from tests.core.driver import Driver, F, I, S
from tests.core.model import Model, ModelCall
from tests.core.strategies import CHANGES, SECONDS, SETTINGS, TICK
from tests.effort import FULL

OUTCOMES = {"success": S, "failure": F, "ignored": I, "cancelled": I}
KINDS = st.sampled_from(["success", "success", "failure", "failure", "ignored", "cancelled"])
TRAFFIC = st.lists(st.tuples(KINDS, SECONDS, st.sampled_from([0.0, 0.0, 0.5, 1.0])), min_size=1, max_size=8)
INDEX = st.integers(0, 9)
LONG = 10_000.0
MANY = 12


class Comparison(RuleBasedStateMachine):
    """Plays the shell, with calls in flight, for a machine and a model."""

    driver: Driver
    model: Model

    def __init__(self) -> None:
        super().__init__()
        self.flying: list[tuple[Ticket, ModelCall]] = []

    @initialize(options=SETTINGS, seed=st.integers(0, 99), start=st.sampled_from([0.0, 1000.25]))
    def begin(self, options: dict[str, Any], seed: int, start: float) -> None:
        self.driver = Driver(now=start, seed=seed, **options)
        self.model = Model(Settings().changed(options), seed, start)

    # Calls

    def arrives(self) -> tuple[Ticket, ModelCall] | None:
        ticket, call = self.driver.try_admit(), self.model.arrive(self.driver.now)
        assert (ticket is None) == (call is None)
        if ticket is None or call is None:
            return None
        assert isinstance(ticket, Probe) == call.is_probe
        return ticket, call

    def ends(self, ticket: Ticket, call: ModelCall, kind: str, seconds: float) -> None:
        assert self.driver.machine.is_current(ticket) == (
            call.overran is None and call.generation == self.model.generation
        )
        self.driver.settle(ticket, OUTCOMES[kind], seconds, cancelled=kind == "cancelled")
        self.model.end(call, kind, self.driver.now, seconds)

    @rule(number=st.integers(1, 4))
    def calls_start(self, number: int) -> None:
        for _ in range(number):
            admitted = self.arrives()
            if admitted is not None:
                self.flying.append(admitted)

    @rule(traffic=TRAFFIC)
    def calls_start_and_end(self, traffic: list[tuple[str, float, float]]) -> None:
        for kind, seconds, gap in traffic:
            self.driver.advance(gap)
            admitted = self.arrives()
            if admitted is not None:
                self.ends(*admitted, kind, seconds)
                self.counts_agree()

    @precondition(lambda self: self.flying)
    @rule(index=INDEX, kind=KINDS, seconds=SECONDS)
    def a_call_ends(self, index: int, kind: str, seconds: float) -> None:
        self.ends(*self.flying.pop(index % len(self.flying)), kind, seconds)

    @precondition(lambda self: self.flying)
    @rule(index=INDEX, seconds=SECONDS)
    def a_call_delivers_something(self, index: int, seconds: float) -> None:
        self.delivers(*self.flying.pop(index % len(self.flying)), seconds)

    def delivers(self, ticket: Ticket, call: ModelCall, seconds: float) -> None:
        rest = self.driver.progress(ticket, seconds), self.model.progress(call, self.driver.now, seconds)
        assert (rest[0] is None) == (rest[1] is None)
        if rest[0] is not None and rest[1] is not None:
            self.flying.append((rest[0], rest[1]))

    @precondition(lambda self: self.flying)
    @rule(index=INDEX)
    def a_permit_is_dropped(self, index: int) -> None:
        ticket, call = self.flying.pop(index % len(self.flying))
        self.driver.machine.leak(ticket)
        self.model.end(call, "leaked", self.driver.now, 0.0)

    @precondition(lambda self: self.model.state in (CLOSED, DISABLED) and not self.driver.machine.meter.needs_duration)
    @rule(number=st.integers(1, 5), failures=st.booleans())
    def calls_go_the_closed_path(self, number: int, *, failures: bool) -> None:
        for _ in range(number):
            call = self.model.arrive(self.driver.now)
            if call is None or call.is_probe:
                self.driver.try_admit()
                break
            if failures:
                self.driver.fail_on_the_closed_path()
            else:
                self.driver.succeed_on_the_closed_path()
            self.model.end(call, "failure" if failures else "success", self.driver.now, 0.0)
            if self.model.state not in (CLOSED, DISABLED):
                break

    @precondition(lambda self: self.model.state in (CLOSED, DISABLED))
    @rule(traffic=TRAFFIC)
    def calls_go_the_timed_path(self, traffic: list[tuple[str, float, float]]) -> None:
        for kind, seconds, gap in traffic:
            self.driver.advance(gap)
            if self.model.state not in (CLOSED, DISABLED):
                break
            call = self.model.arrive(self.driver.now)
            assert call is not None
            if kind == "success":
                self.driver.succeed_on_the_timed_path(seconds)
            else:
                ticket = self.driver.machine.epoch
                self.driver.settle(ticket, OUTCOMES[kind], seconds, cancelled=kind == "cancelled")
            self.model.end(call, kind, self.driver.now, seconds)
            self.counts_agree()

    @precondition(lambda self: self.model.state is HALF_OPEN)
    @rule()
    def the_event_loop_dies(self) -> None:
        machine, model = self.driver.machine, self.model
        assert machine.episode is not None
        assert model.episode is not None
        for probe in tuple(machine.episode.probes):
            machine.leak(probe)
        lost = list(model.episode.probes)
        for call in lost:
            model.end(call, "leaked", self.driver.now, 0.0)
        self.flying = [(ticket, call) for ticket, call in self.flying if call not in lost]

    # Time

    @rule(seconds=st.sampled_from([TICK, 0.5, 1.0, 1.0, 2.0, 3.0, 60.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.driver.advance(seconds)

    @precondition(lambda self: self.model.state in (OPEN, FORCED_OPEN, HALF_OPEN))
    @rule(short_of=st.sampled_from([0.0, TICK]))
    def time_passes_until_something_is_due(self, short_of: float) -> None:
        model = self.model
        due = model.reopen_at
        if model.episode is not None:
            due = (
                min((call.admitted_at for call in model.episode.probes), default=self.driver.now) + model.episode.limit
            )
        if due < float("inf"):
            self.driver.now = max(self.driver.now, due - short_of)

    @precondition(lambda self: self.model.state in (CLOSED, OPEN, HALF_OPEN))
    @rule(number=st.integers(1, 3), others=st.integers(0, 2))
    def probes_run_out_of_time(self, number: int, others: int) -> None:
        """Each is seen to have run out of time by the next one; other calls arrive beside it."""
        for _ in range(MANY):
            admitted = self.arrives() if self.model.state is CLOSED else None
            if admitted is not None:
                self.ends(*admitted, "failure", LONG)
        for _ in range(number):
            self.driver.now = max(self.driver.now, self.model.ready_at(self.driver.now))
            self.calls_start(1 + others)

    @precondition(lambda self: any(call.overran is not None for _, call in self.flying))
    @rule(index=INDEX, kind=KINDS, seconds=SECONDS, whole=st.booleans())
    def one_that_ran_out_of_time_ends_or_delivers(self, index: int, kind: str, seconds: float, *, whole: bool) -> None:
        slow = [place for place, (_, call) in enumerate(self.flying) if call.overran is not None]
        ticket, call = self.flying.pop(slow[index % len(slow)])
        if whole:
            self.ends(ticket, call, kind, seconds)
        else:
            self.delivers(ticket, call, seconds)

    # Control

    @rule(
        trigger=st.sampled_from([Trigger.RESET, Trigger.DISABLED, Trigger.FORCED_OPEN]),
        seconds=st.sampled_from([None, 5, 100]),
    )
    def somebody_takes_a_hand(self, trigger: Trigger, seconds: float | None) -> None:
        forced = trigger is Trigger.FORCED_OPEN
        self.driver.go(trigger, reason="because" if forced else None, for_seconds=seconds if forced else None)
        self.model.by_hand(trigger, self.driver.now, seconds)

    @rule(options=CHANGES)
    def settings_change(self, options: dict[str, Any]) -> None:
        self.driver.reconfigure(**options)
        self.model.reconfigure(self.model.settings.changed(options), self.driver.now)

    # What has to be true after every step

    @invariant()
    def counts_agree(self) -> None:
        snapshot, model, now = self.driver.snapshot, self.model, self.driver.now
        assert (snapshot.state, snapshot.generation, snapshot.attempt) == (model.state, model.generation, model.attempt)
        assert (snapshot.changed_monotonic, snapshot.opened_monotonic) == (model.changed_at, model.opened_at)
        assert snapshot.retry_after == model.retry_after(now)
        assert snapshot.failure_count == model.failure_count(now)
        assert (snapshot.failure_rate, snapshot.slow_call_rate) == model.rates(now)
        totals = {
            "success": snapshot.success_total,
            "failure": snapshot.failure_total,
            "ignored": snapshot.ignored_total,
            "cancelled": snapshot.cancelled_total,
            "late": snapshot.late_total,
            "leaked": snapshot.leaked_total,
            "rejected": snapshot.rejected_total,
            "probe": snapshot.probe_total,
        }
        assert totals == {kind: model.totals[kind] for kind in totals}

    @invariant()
    def transitions_agree(self) -> None:
        transitions, model = self.driver.transitions, self.model
        assert [(step.old, step.cause.trigger, step.new) for step in transitions] == model.log
        assert all(TRANSITIONS[step.old][step.cause.trigger] is step.new for step in transitions)
        observed = [step.cause.observed for step in transitions if step.cause.trigger is Trigger.TRIPPED]
        assert observed == model.observed

    @invariant()
    def outages_agree(self) -> None:
        outage, model = self.driver.snapshot.outage, self.model
        assert (outage is None) == (model.outage_before is None)
        if outage is not None and model.outage_before is not None:
            grown = {kind: model.totals[kind] - model.outage_before[kind] for kind in ("probe", "rejected")}
            assert {"probe": outage.probes, "rejected": outage.rejected} == grown
            assert outage.seconds == max(0.0, self.driver.now - model.opened_at)
            assert outage.cause.trigger is model.log[model.outage_began][1]
            failed = (Trigger.PROBE_FAILED, Trigger.PROBE_TIMED_OUT)
            assert outage.probes_failed == sum(step[1] in failed for step in model.log[model.outage_began :])

    @invariant()
    def probes_agree(self) -> None:
        snapshot, episode = self.driver.snapshot, self.model.episode
        assert snapshot.probes_passed == self.model.passed()
        if episode is None:
            assert snapshot.probes_in_flight == 0
        else:
            assert snapshot.probes_in_flight == len(episode.probes)
            assert snapshot.success_threshold == episode.settings.success_threshold
            assert snapshot.probes_in_flight <= episode.settings.max_probes
        assert self.driver.machine.is_full(self.driver.now) == self.model.is_full(self.driver.now)

    @invariant()
    def permits_are_neither_lost_nor_minted(self) -> None:
        for gate in self.driver.gates:
            held = [c for t, c in self.flying if isinstance(t, Probe) and t.gate is gate and c.overran is None]
            assert gate.free == gate.permits - len(held)

    @invariant()
    def settings_are_those_given_last(self) -> None:
        assert self.driver.machine.settings == self.model.settings

    def teardown(self) -> None:
        if self.model.retry_after(self.driver.now) is None and self.model.state is FORCED_OPEN:
            self.somebody_takes_a_hand(Trigger.RESET, None)
        self.driver.advance(LONG)
        assert self.arrives() is not None, "stuck"


TestComparison = Comparison.TestCase
TestComparison.settings = settings(max_examples=max(settings.default.max_examples, 500 if FULL else 200), deadline=None)
