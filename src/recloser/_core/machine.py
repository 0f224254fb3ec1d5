"""The state machine of one circuit breaker.

It uses no clock, no event loop and no lock: the time is an argument, the semaphore of a half-open episode is a `Gate`
that is passed in, and each method is one synchronous step. Methods return what happened as values.

Invariants:

- `state` and `epoch` change only in `transition()`, and only along `TRANSITIONS`; `episode` changes there too, and when
  a half-open machine without one starts one.
- Every transition starts a new `Epoch`. An outcome counts only if the epoch that admitted the call is still the
  machine's. Otherwise the call is late, and only increments `late`.
- An admitted probe is in `episode.probes` until it is settled. It gives its permit back exactly once, to the gate that
  the permit came from, whatever has happened to the episode since.
- A verdict by expiry is provisional. A probe that has run out of time may still pass, unless something has `decided`
  since its admission: another probe that failed or passed, a person, or the fleet. While a later probe runs, the
  machine waits for that one; if it runs out of time as well, the late success decides.
- Admission relies on no invariant, because an exception from outside, such as KeyboardInterrupt, can arrive between any
  two statements. A half-open machine without an episode starts one, and a new gate replaces lost permits, so there is
  always a way out of half-open.
- While closed or disabled, a success may be counted just by adding 1 to `epoch.successes`, if the sum stays below
  `epoch.look_at`, or if it stays below `epoch.sample_at` and the call ended before `epoch.edge`. A failure may be
  counted just by adding 1 to `epoch.failures`, if `epoch.successes == epoch.run_after` (it continues a run of failures)
  and the sum stays below `epoch.run_from + epoch.run_limit`.
  That is the whole closed path.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from recloser._core.causes import ByHand, cause_of
from recloser._core.events import Snapshot, Transition
from recloser._core.meters import RunMeter, heir_of
from recloser._core.outage import note_transition
from recloser._core.outcomes import Outcome
from recloser._core.shadow import NO_SHADOW_CALLS, ShadowCalls
from recloser._core.snapshots import snapshot_of
from recloser._core.states import TRANSITIONS, CircuitState, Trigger
from recloser._core.tickets import Admission, Episode, Epoch, Expiry, Probe, Ticket
from recloser._core.usual import UsualDuration
from recloser._core.windows import ALWAYS, NEVER

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from recloser._core.backoff import Backoff
    from recloser._core.cause import Cause
    from recloser._core.meters import RuleMeter
    from recloser._core.outage import Outage, OutageRecord
    from recloser._core.settings import Settings
    from recloser._core.tickets import Gate

CLOSED = CircuitState.CLOSED
OPEN = CircuitState.OPEN
HALF_OPEN = CircuitState.HALF_OPEN
FORCED_OPEN = CircuitState.FORCED_OPEN
DISABLED = CircuitState.DISABLED
SUCCESS = Outcome.SUCCESS
FAILURE = Outcome.FAILURE
UNDECIDED = frozenset({Trigger.WAIT_ELAPSED, Trigger.PROBE_TIMED_OUT})
"""The triggers after which a probe that has run out of time may still pass."""
NO_LEAKS: list[Ticket] = []
"""Shared by all machines that have had no probe: nothing is ever appended to it."""


class BreakerMachine(UsualDuration):
    """The state machine of one circuit breaker.

    Args:
        settings: The settings of the breaker.
        random: The source of jitter for the reset timeout.
        now: The time of creation, in monotonic seconds.
    """

    __slots__ = (
        "attempt",
        "cancelled",
        "cause",
        "changed_at",
        "decided",
        "episode",
        "epoch",
        "frozen_failures",
        "ignored",
        "last_error",
        "late",
        "late_passes",
        "leaked",
        "leaks",
        "meter",
        "open_seconds",
        "outage",
        "outages",
        "probe_failures",
        "probe_successes",
        "probes",
        "random",
        "rejected",
        "reopen_at",
        "settings",
        "shadow_calls",
        "state",
    )

    settings: Settings
    leaks: list[Ticket]
    """Probes whose permits were dropped, to be released by the next step; finalisers append to it in any thread."""
    reopen_at: float
    state: CircuitState
    meter: RuleMeter
    ignored: int
    cancelled: int
    rejected: int
    late: int
    leaked: int
    probes: int
    probe_successes: int
    probe_failures: int

    def __init__(self, settings: Settings, random: Random, now: float) -> None:
        super().__init__()
        self.settings = settings
        self.random: Random = random
        self.state = CLOSED
        self.changed_at: float = now
        self.outage: OutageRecord | None = None
        self.outages: tuple[Outage, ...] = ()
        self.reopen_at = ALWAYS
        self.open_seconds: float = 0.0
        self.attempt: int = 0
        self.frozen_failures: int = 0
        self.cause: Cause | None = None
        self.last_error: str | None = None
        self.episode: Episode | None = None
        self.decided: int = 1  # the latest generation whose beginning was final
        self.late_passes: int = 0  # since then: the probes that have passed late, and those that had passed before them
        self.leaks = NO_LEAKS
        self.shadow_calls: ShadowCalls = NO_SHADOW_CALLS
        self.ignored = self.cancelled = self.rejected = self.late = self.leaked = 0
        self.probes = self.probe_successes = self.probe_failures = 0
        self.epoch: Epoch = Epoch(1, 0, 0)
        self.meter = settings.trip_when.meter(self.epoch)
        self._watch()

    def admit(self, now: float, new_gate: Callable[[int], Gate]) -> Admission:
        """Admit or reject a call.

        Args:
            now: Monotonic seconds.
            new_gate: Makes a gate with the given number of permits, if the call starts a half-open episode.
        """
        expired = self.expire(now)
        reopened = None
        if self.state in (OPEN, FORCED_OPEN) and now >= self.reopen_at:
            reopened = self.transition(Trigger.WAIT_ELAPSED, now, episode=self._new_episode(new_gate))
        elif self.state is DISABLED and now >= self.reopen_at:
            reopened = self.transition(Trigger.DISABLE_ENDED, now)
        if self.state is HALF_OPEN:
            return Admission(self._take_probe(now, new_gate), expired, reopened)
        return Admission(self.epoch if self.state in (CLOSED, DISABLED) else None, expired, reopened)

    def expire(self, now: float) -> Expiry | None:
        """Settle the oldest probe if it has run out of time, which ends the episode."""
        episode = self.episode
        if episode is None or not episode.probes:
            return None
        probe = episode.probes[0]
        limit = probe.admitted_at + episode.limit_seconds
        if now < limit:
            return None
        self._release(probe)
        if self.passed >= episode.settings.success_threshold:  # an earlier one has passed late while this one ran
            self.ignored += 1
            return Expiry(probe, Outcome.IGNORED, None, self.transition(Trigger.PROBE_PASSED_LATE, now, since=limit))
        self.probe_failures += 1
        probe.overran = episode
        error = f"probe still running after {episode.limit_seconds:g} s"
        transition = self.transition(Trigger.PROBE_TIMED_OUT, now, since=limit, last_error=error)
        return Expiry(probe, FAILURE, error, transition)

    @property
    def admits_all(self) -> bool:
        """Whether all calls go through, whatever the time: the machine is closed, or disabled without an end."""
        return self.state is CLOSED or (self.state is DISABLED and self.reopen_at == NEVER)

    @property
    def is_waiting(self) -> bool:
        """Whether the next step is a probe and none is running."""
        is_trying = self.episode is not None and bool(self.episode.probes)
        return self.state in (OPEN, FORCED_OPEN, HALF_OPEN) and not is_trying

    def may_try(self, now: float) -> bool:
        """Return whether it is time for a probe and none is running."""
        return self.is_waiting and now >= self.reopen_at

    def grant(self, now: float, gate: Gate, token: int, passed: int) -> tuple[Probe, Transition | None]:
        """Admit the probe that a fleet has granted; only while the machine `is_waiting` for one.

        Args:
            now: Monotonic seconds.
            gate: The gate of an episode with this probe alone.
            token: The fleet's token of the probe.
            passed: How many probes of the fleet have succeeded since it opened.
        """
        episode = self._new_episode(lambda _: gate)
        episode.passed = passed
        reopened = None
        if self.state is HALF_OPEN:
            self.episode = episode
        else:
            reopened = self.transition(Trigger.WAIT_ELAPSED, now, episode=episode)
        gate.take()
        return self._new_probe(episode, now, token), reopened

    def postpone(self, until: float) -> None:
        """Change when the reset timeout, or the wait for another process's probe, ends."""
        self.reopen_at = until

    def is_full(self, now: float) -> bool:
        """Return whether a half-open machine rejects a call now."""
        episode = self.episode
        if episode is None:
            return self.state is HALF_OPEN and now < self.reopen_at  # another process runs the probe
        probes = tuple(episode.probes)  # another thread may settle one now
        return len(probes) >= episode.settings.max_probes and now < probes[0].admitted_at + episode.limit_seconds

    def is_running(self, probe: Probe, now: float) -> bool:
        """Return whether a probe of this machine is still running and within its probe timeout."""
        episode = self.episode
        return episode is not None and probe in episode.probes and now < probe.admitted_at + episode.limit_seconds

    def is_current(self, ticket: Ticket) -> bool:
        """Return whether the outcome of a call that holds this ticket still counts."""
        if isinstance(ticket, Probe):
            return not ticket.settled and ticket.epoch is self.epoch
        return ticket is self.epoch

    def may_pass(self, probe: Probe) -> bool:
        """Return whether the success of a probe would matter: it is current, or it may still pass late."""
        return self.is_current(probe) or self._may_pass_late(probe)

    def _may_pass_late(self, probe: Probe) -> bool:
        return probe.overran is not None and probe.epoch.generation > self.decided

    @property
    def passed(self) -> int:
        """How many of the probes needed to close have passed."""
        return self.late_passes + (0 if self.episode is None else self.episode.passed)

    def make_final(self) -> None:
        """Let no probe pass that has run out of time until now."""
        self.decided, self.late_passes = self.epoch.generation, 0

    def _decide(self, trigger: Trigger) -> None:
        if trigger not in UNDECIDED:
            self.make_final()

    def settings_of(self, ticket: Ticket) -> Settings:
        """Return the settings for a call: a half-open episode keeps those with which it started."""
        episode = self.episode
        kept = episode is not None and isinstance(ticket, Probe) and ticket in episode.probes
        return episode.settings if episode is not None and kept else self.settings

    def settle(
        self, ticket: Ticket, outcome: Outcome, now: float, duration: float, *, cancelled: bool = False
    ) -> Trigger | None:
        """Count the outcome of an admitted call; return the trigger of the transition that it causes, if any.

        The caller passes the trigger to `transition()` in the same synchronous step.

        Args:
            ticket: The ticket from `admit()`.
            outcome: What the end of the call means.
            now: Monotonic seconds; unused unless the meter `needs_clock`.
            duration: How long the call took, in seconds; unused unless the meter `needs_duration` or the call is a
                probe.
            cancelled: Whether an ignored call was cancelled.
        """
        current = self.is_current(ticket)
        if isinstance(ticket, Probe):
            self._release(ticket)
        if not current:
            self.late += 1
            return self._pass_late(ticket, duration) if outcome is SUCCESS else None
        if outcome is not SUCCESS and outcome is not FAILURE:
            if cancelled:
                self.cancelled += 1
            else:
                self.ignored += 1
            return None
        if isinstance(ticket, Probe):
            return self._count_probe(outcome, duration)
        return self.count_failure(now, duration) if outcome is FAILURE else self.count_success(now, duration)

    def observe(self, now: float, duration: float = 0.0) -> Trigger | None:
        """Show the trip rule a success that the closed path has counted; return the trigger that it causes, if any."""
        met = self.meter.success(self.epoch, now, duration)
        self._watch()
        return Trigger.TRIPPED if met and self.state is CLOSED else None

    def leak(self, ticket: Ticket) -> None:
        """Release a ticket that was dropped unsettled."""
        if self.is_unsettled(ticket):
            if isinstance(ticket, Probe):
                self._release(ticket)
            self.leaked += 1

    @staticmethod
    def is_unsettled(ticket: Ticket) -> bool:
        """Return whether a dropped ticket has yet to be released."""
        return isinstance(ticket, Epoch) or (isinstance(ticket, Probe) and not ticket.settled)

    def transition(
        self,
        trigger: Trigger,
        now: float,
        *,
        since: float | None = None,
        at: float = 0.0,
        last_error: str | None = None,
        reason: str | None = None,
        author: str | None = None,
        for_seconds: float | None = None,
        open_seconds: float | None = None,
        episode: Episode | None = None,
    ) -> Transition:
        """Make the transition that the table has for a trigger; raise KeyError if it has none.

        Args:
            trigger: The trigger.
            now: Monotonic seconds.
            since: When the new state began, in monotonic seconds, if before `now`.
            at: The Unix time now; for people only.
            last_error: The type and message of the failure that opens the breaker.
            reason: The reason for a transition by hand.
            author: Who made a transition by hand.
            for_seconds: How long it stays forced open or disabled, or another's probe runs; None: until a reset.
            open_seconds: How long to stay open; None means that the backoff decides.
            episode: The half-open episode that starts.
        """
        old, new = self.state, TRANSITIONS[self.state][trigger]
        before = self.snapshot(now)
        evidence = self.meter.evidence(self.epoch, now) if trigger is Trigger.TRIPPED else None
        cause = cause_of(trigger, before, evidence, last_error, ByHand(reason, author, for_seconds))
        since = now if since is None else since
        backoff = (self.settings if self.episode is None else self.episode.settings).backoff
        self.frozen_failures, self.reopen_at = before.failure_count, ALWAYS
        self.state = new  # before the epoch: a thread that reads them the other way round admits no call to an open one
        self.epoch = self._next_epoch()
        self._decide(trigger)
        self.episode, self.changed_at, self.cause = episode, since, cause
        outage = note_transition(self, (old, new), cause, since, at)
        if new is OPEN:
            self._enter_open(since, open_seconds, last_error, backoff)
        elif new is FORCED_OPEN:
            self._enter_forced_open(since, for_seconds)
        elif new is HALF_OPEN:
            self._enter_half_open(now, for_seconds)
        else:
            self._enter_admitting(since, for_seconds)
        self._watch()
        return Transition(old, new, cause, before, now, self.retry_after(now), outage)

    def _next_epoch(self) -> Epoch:
        self.end_run(self.epoch.successes)
        return self.epoch.next()

    def _enter_open(self, since: float, open_seconds: float | None, last_error: str | None, backoff: Backoff) -> None:
        self.attempt += 1
        self.open_seconds = backoff.open_seconds(self.attempt, self.random) if open_seconds is None else open_seconds
        self.reopen_at = since + self.open_seconds
        self.last_error = last_error

    def _enter_forced_open(self, since: float, for_seconds: float | None) -> None:
        self.open_seconds = for_seconds or 0.0
        self.reopen_at = NEVER if for_seconds is None else since + for_seconds
        self.last_error = None

    def _enter_half_open(self, now: float, for_seconds: float | None) -> None:
        if for_seconds is not None:  # another process runs the probe
            self.reopen_at = now + for_seconds

    def _enter_admitting(self, since: float, for_seconds: float | None) -> None:
        """Enter the state closed or disabled."""
        self.attempt = 0
        self.last_error = None
        if self.state is CLOSED:
            self.meter.clear(self.epoch)
        else:
            self.reopen_at = NEVER if for_seconds is None else since + for_seconds

    def reconfigure(self, settings: Settings, now: float) -> None:
        """Switch to new settings; state, generation and window stay, as do a running reset timeout and an episode."""
        if settings.trip_when != self.settings.trip_when:
            self.meter = heir_of(self.meter, settings.trip_when.meter(self.epoch), self.epoch, now)
        if self.settings.overdue_after_seconds is not None:
            self.epoch.sample_at = self.epoch.successes + 1  # nobody has needed samples so far
        self.settings = settings
        self._watch()

    def failure_count(self, now: float) -> int:
        """Return the failures that the trip rule counts; frozen unless closed or disabled."""
        if self.state in (CLOSED, DISABLED):
            return max(0, self.meter.failure_count(self.epoch, now))  # another thread may read in the middle of a step
        return self.frozen_failures

    def retry_after(self, now: float) -> float | None:
        """Return the seconds until a call has a chance; None if unknown."""
        if self.state in (CLOSED, DISABLED):
            return 0.0
        if self.state is HALF_OPEN or math.isinf(self.reopen_at):
            return None
        return max(0.0, self.reopen_at - now)

    def snapshot(self, now: float) -> Snapshot:
        """Return the state and all counts; this changes nothing."""
        return snapshot_of(self, now)

    def _new_episode(self, new_gate: Callable[[int], Gate]) -> Episode:
        settings = self.settings
        return Episode(settings, new_gate(settings.max_probes), settings.probe_limit(self.open_seconds))

    def _take_probe(self, now: float, new_gate: Callable[[int], Gate]) -> Probe | None:
        episode = self.episode
        if episode is None:
            self.episode = episode = self._new_episode(new_gate)
        if not episode.gate.take():
            if len(episode.probes) >= episode.settings.max_probes:
                return None
            episode.renew(new_gate)
            episode.gate.take()
        return self._new_probe(episode, now)

    def _new_probe(self, episode: Episode, now: float, token: int = 0) -> Probe:
        if self.leaks is NO_LEAKS:  # before there is a probe to lose, and not for breakers that never have one
            self.leaks = []
        probe = Probe(self.epoch, episode.gate, now, token)
        episode.probes.append(probe)
        self.probes += 1
        return probe

    def _release(self, probe: Probe) -> None:
        if probe.settled:
            return
        if self.episode is not None and probe in self.episode.probes:
            self.episode.probes.remove(probe)
        probe.settled = True
        probe.gate.give()

    def count_failure(self, now: float, duration: float) -> Trigger | None:
        """Count a failure of the current epoch, closed or disabled; return the trigger that it causes, if any."""
        epoch, meter = self.epoch, self.meter
        epoch.failures += 1
        met = meter.failure(epoch, now, duration)
        if meter.quiet_until != epoch.edge:
            self._watch()
        return Trigger.TRIPPED if met and self.state is CLOSED else None

    def count_success(self, now: float, duration: float) -> Trigger | None:
        """Count a success of the current epoch, closed or disabled; return the trigger that it causes, if any."""
        self.epoch.successes += 1
        return self.observe(now, duration)

    def _count_probe(self, outcome: Outcome, duration: float) -> Trigger | None:
        episode = cast("Episode", self.episode)  # a current probe has one
        if outcome is FAILURE:
            self.probe_failures += 1
            return Trigger.PROBE_FAILED
        self.probe_successes += 1
        if duration > episode.slow_call_seconds:
            return Trigger.PROBE_FAILED
        episode.passed += 1
        return Trigger.PROBES_PASSED if self.passed >= episode.settings.success_threshold else None

    def _pass_late(self, ticket: Ticket, duration: float) -> Trigger | None:
        """Let a probe that had run out of time pass, as if it had done so in time."""
        episode = ticket.overran if isinstance(ticket, Probe) and self._may_pass_late(ticket) else None
        if episode is None or duration > episode.slow_call_seconds:
            return None
        self.late_passes += episode.passed + 1
        is_trying = self.episode is not None and self.episode.probes
        is_enough = self.passed >= episode.settings.success_threshold
        return Trigger.PROBE_PASSED_LATE if is_enough and not is_trying else None

    def _watch(self) -> None:
        """Set what the closed path reads to know which calls the meter wants to see."""
        epoch = self.epoch
        epoch.watch(self.meter.quiet_until)
        epoch.run_limit = self.meter.threshold if isinstance(self.meter, RunMeter) else 0
