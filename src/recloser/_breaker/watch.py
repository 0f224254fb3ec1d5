"""The closed path, and what is done on it with a call besides counting it: its result, its duration, its listeners.

The decorator, `CircuitBreaker.call`, the guard and permits contain the closed path themselves, for speed. While a
breaker is closed, or disabled without an end, calls take it like this:

    epoch = engine.live               # None: engine.watch.epoch, and the time; no watch: engine.admit()
    ... await the call ...            # an exception goes to engine.call_raised()
    if engine.counting is epoch:      # else: as returned() and succeeded() do it
        epoch.successes = count = epoch.successes + 1
        if count >= epoch.look_at and (count >= epoch.sample_at or engine.now() >= epoch.edge):
            engine.observe(epoch, started)

`engine.live` is None if the start of each call is needed, and `engine.counting` if more than a count is needed at its
end. Then `engine.watch` says what is needed. Another watch replaces it when the settings, the listeners or the
generation change. Now and then a call is a sample of how long calls take: see `sampling`.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, TypeAlias

from recloser._breaker.results import predicate_raised, settle_by_predicate, settle_result
from recloser._breaker.sampling import sample_duration
from recloser._core.defaults import slow_call_limit
from recloser._core.events import CallSucceeded
from recloser._core.outcomes import Outcome
from recloser._core.windows import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._breaker.dispatch import Dispatcher
    from recloser._core.settings import Settings
    from recloser._core.tickets import Epoch

    Report: TypeAlias = Callable[[float, float], None]

SUCCESS = Outcome.SUCCESS


class Watch:
    """What is done with each call of one generation.

    Attributes:
        epoch: The generation.
        failed_result: The predicate on results; None if there is none.
        limit: A call that takes longer, in seconds, is slow; infinity if the trip rule has no such limit.
        report: Measures and reports a success, by the time of its end and its duration; None if nobody wants that.
        times_starts: Whether the start of each call is needed.
        times_ends: Whether its end is needed.
    """

    __slots__ = ("epoch", "failed_result", "limit", "report", "times_ends", "times_starts")

    def __init__(
        self, breaker: str, epoch: Epoch, settings: Settings, dispatcher: Dispatcher | None, *, is_timed: bool
    ) -> None:
        self.epoch: Epoch = epoch
        self.failed_result: Callable[[object], object] | None = settings.failed_result
        self.limit: float = slow_call_limit(settings.trip_when)
        self.report: Callable[[float, float], None] | None = _reporter(breaker, epoch, dispatcher)
        self.times_ends: bool = self.report is not None or self.limit < NEVER
        self.times_starts: bool = is_start_needed(settings, dispatcher, is_timed=is_timed)


def _is_heard(dispatcher: Dispatcher | None) -> bool:
    return dispatcher is not None and CallSucceeded in dispatcher.wanted


def _reporter(breaker: str, epoch: Epoch, dispatcher: Dispatcher | None) -> Callable[[float, float], None] | None:
    """Return what measures and reports a success, `report(now, seconds)`; None if nobody wants that."""
    if dispatcher is None:
        return None
    steps = [] if dispatcher.durations is None else dispatcher.durations.recorders()
    if _is_heard(dispatcher):
        steps.append(dispatcher.success_reporter(breaker, epoch.generation))
    return reduce(_both, steps) if steps else None


def _both(first: Report, second: Report) -> Report:
    def report(now: float, seconds: float) -> None:
        try:
            first(now, seconds)
        finally:  # also if an interrupt arrives in the first one
            second(now, seconds)

    return report


def watch_of(
    breaker: str, settings: Settings, epoch: Epoch, dispatcher: Dispatcher | None, *, is_timed: bool
) -> Watch | None:
    """Return what is done with each call of a generation; None if they are only counted."""
    if is_start_needed(settings, dispatcher, is_timed=is_timed) or settings.failed_result is not None:
        return Watch(breaker, epoch, settings, dispatcher, is_timed=is_timed)
    return None


def is_start_needed(settings: Settings, dispatcher: Dispatcher | None, *, is_timed: bool) -> bool:
    """Return whether the start of each call is needed."""
    if is_timed or slow_call_limit(settings.trip_when) < NEVER:
        return True
    if settings.overdue_after_seconds is not None and settings.overdue_after_seconds < NEVER:
        return True
    return dispatcher is not None and (dispatcher.durations is not None or _is_heard(dispatcher))


def returned(engine: Any, ticket: Any, result: object, started: float | None) -> object:  # noqa: ANN401 - an Engine; an Epoch or a Probe
    """Settle a call that returned and was not only counted; return its result."""
    watch = engine.watch
    if watch is None or watch.epoch is not ticket or watch.times_starts is (started is None):
        return settle_result(engine, ticket, result, started)
    if watch.failed_result is not None:
        try:
            passed = not (judgement := watch.failed_result(result))
        except BaseException as fault:  # noqa: BLE001 - handled there
            return predicate_raised(engine, ticket, result, fault, started)
        if not passed or engine.watch is not watch:
            return settle_by_predicate(engine, ticket, result, judgement, started, passed=passed)
    if watch.times_ends:  # as succeeded() does it, whose call would take as long
        if started is None or (seconds := (now := engine.now()) - started) > watch.limit or now >= ticket.edge:
            engine.succeed(ticket, started)
            return result
        ticket.successes += 1
        if ticket.successes >= ticket.sample_at:
            sample_duration(engine, ticket, seconds)
        if watch.report is not None:
            watch.report(now, seconds if seconds > 0 else 0.0)
        return result
    succeeded(engine, ticket, started)
    return result


def succeeded(engine: Any, ticket: Any, started: float | None) -> None:  # noqa: ANN401 - as above
    """Settle a call that succeeded and was not only counted."""
    watch = engine.watch
    if watch is None or watch.epoch is not ticket or watch.times_starts is (started is None):
        engine.succeed(ticket, started)
    elif not watch.times_ends:
        ticket.successes += 1
        if ticket.successes >= ticket.look_at:
            engine.observe(ticket, started)
    elif started is None or (seconds := (now := engine.now()) - started) > watch.limit or now >= ticket.edge:
        engine.succeed(ticket, started)
    else:
        ticket.successes += 1
        if ticket.successes >= ticket.sample_at:
            sample_duration(engine, ticket, seconds)
        if watch.report is not None:
            watch.report(now, seconds if seconds > 0 else 0.0)


def measure(
    dispatcher: Dispatcher | None, outcome: Outcome, seconds: float, now: float, exc: BaseException | None
) -> None:
    """Add the duration of a call that ended at `now`, if somebody measures the breaker; this runs no user code."""
    if dispatcher is not None and dispatcher.durations is not None:
        dispatcher.durations.add(outcome, seconds, now, exc)


def relieve(dispatcher: Dispatcher | None) -> None:
    """Hand over some of the durations that wait for a reader, if too many do; never under a lock.

    Raises:
        KeyboardInterrupt: It arrived meanwhile.
        SystemExit: Likewise.
    """
    if dispatcher is not None and dispatcher.durations is not None:
        dispatcher.durations.relieve()
