"""The paths through recloser: one for everything that a setting, a listener or a state can choose, with its bar."""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks import features, loops, own, policies, telemetry
from benchmarks.comparisons import (
    BLOCK,
    FAILURE,
    ITEM,
    MOSTLY_SUCCESS,
    REJECTION,
    STREAM,
    SUCCESS,
    Build,
    Comparison,
    Kind,
    build_of,
    failing,
    items_of,
    rejecting,
    succeeding,
)
from benchmarks.contender import LONG_SECONDS, NEVER, TRIP_AFTER, Dependency, Work, broken, either, trip, work
from benchmarks.harness import Run
from recloser import BreakerRegistry, Bulkhead, CircuitBreaker, ConsecutiveFailures, FailureCount
from recloser.events import CallRejected

DECORATOR = "closed, success, decorator"
FAILING = "closed, failing call"
REJECTED = "open, rejected with the exception"
LISTENER = "closed, success, one listener of all single calls"

IN_A_MINUTE = ConsecutiveFailures(TRIP_AFTER, within_seconds=60)
SOME_OF_A_HUNDRED = FailureCount(50, window=own.COUNT_WINDOW)
MANY_IN_A_MINUTE = FailureCount(NEVER, window=own.TIME_WINDOW)
RATE, RATE_IN_TIME = own.rate(own.COUNT_WINDOW), own.rate(own.TIME_WINDOW)
SLOW, SLOW_IN_TIME = own.slow(own.COUNT_WINDOW), own.slow(own.TIME_WINDOW)


def own_comparisons() -> list[Comparison]:
    """Returns every path of recloser."""
    return [*_closed(), *_windows(), *_watched(), *_failing(), *_open(), *_streams(), *_registry(), *_policies()]


def _row(group: str, key: str, kind: Kind, build: Build, bar: float | None = None) -> Comparison:
    return Comparison(group, key, kind.base, kind.against, build, bar)


def _decorated(**settings: Any) -> Build:  # noqa: ANN401 - the settings of a breaker
    return build_of(lambda: loops.calls(own.breaker("decorated", **settings)(work)))


def _sometimes_failing(**settings: Any) -> Build:  # noqa: ANN401 - the settings of a breaker
    return build_of(lambda: loops.mostly_succeeding_calls(own.breaker("mixed", **settings)(either)))


def _through(loop: Any, function: Work, **settings: Any) -> Build:  # noqa: ANN401 - the settings of a breaker
    return build_of(lambda: loop(own.breaker("used", **settings), function))


def _disabled() -> Run:
    breaker = own.breaker("disabled")
    breaker.disable("measured")
    return loops.calls(breaker(work))


def _closed() -> Iterator[Comparison]:
    closed = partial(_row, "closed")
    yield closed(DECORATOR, SUCCESS, succeeding(own.RECLOSER), 1.35)
    yield closed("closed, success, `call`", SUCCESS, _through(features.through_call, work), 1.6)
    yield closed("closed, success, `guard()`", BLOCK, _through(features.through_guard, work), 2.1)
    yield closed("closed, success, `acquire` and `succeed`", SUCCESS, _through(features.acquired_permits, work))
    yield closed("closed, success, `try_acquire_nowait` and `succeed`", SUCCESS, _through(features.tried_permits, work))
    yield closed("closed, 1 call in 20 fails", MOSTLY_SUCCESS, _sometimes_failing())
    yield closed("closed, success, shadow mode", SUCCESS, _decorated(shadow=True))
    yield closed("disabled, success", SUCCESS, build_of(_disabled))
    yield closed("closed, success, `overdue_after_seconds`", SUCCESS, _decorated(overdue_after_seconds=1.0), 2.0)
    yield closed("closed, success, `failed_result`", SUCCESS, _decorated(failed_result=_is_bad), 2.0)


def _is_bad(result: int) -> bool:
    return result < 0


def _windows() -> Iterator[Comparison]:
    bars = {"count window 100": (1.5, 1.7), "time window of 10 buckets": (1.85, None)}
    for what, rule in _RULES.items():
        bar, failing_bar = bars.get(what, (_SLOW_BARS.get(what), None))
        build, failing_build = _decorated(trip_when=rule), _sometimes_failing(trip_when=rule)
        yield _row("windows", f"{what}, no failure in it", SUCCESS, build, bar)
        yield _row("windows", f"{what}, 1 call in 20 fails", MOSTLY_SUCCESS, failing_build, failing_bar)
    with_clock = _decorated(trip_when=SLOW, clock=_clock)
    yield _row("windows", "slow calls in a count window, with a clock of one's own", SUCCESS, with_clock)
    for what, loop in (("`call`", features.through_call), ("`acquire` and `succeed`", features.acquired_permits)):
        slow_build = _through(loop, work, trip_when=RATE | SLOW)
        yield _row("windows", f"failure rate or slow calls in a count window, {what}", SUCCESS, slow_build)
    guarded = _through(features.through_guard, work, trip_when=RATE | SLOW)
    yield _row("windows", "failure rate or slow calls in a count window, `guard()`", BLOCK, guarded)


_RULES: Mapping[str, Any] = {
    "count window 100": RATE,
    "time window of 10 buckets": RATE_IN_TIME,
    "`FailureCount` in a count window": SOME_OF_A_HUNDRED,
    "`FailureCount` in a time window": MANY_IN_A_MINUTE,
    "`ConsecutiveFailures` with `within_seconds`": IN_A_MINUTE,
    "failures in a row or failure rate in a count window": ConsecutiveFailures(TRIP_AFTER) | RATE,
    "slow calls in a count window": SLOW,
    "slow calls in a time window": SLOW_IN_TIME,
    "failure rate or slow calls in a count window": RATE | SLOW,
    "failure rate or slow calls in a time window": RATE_IN_TIME | SLOW_IN_TIME,
}
_SLOW_BARS = {
    "slow calls in a count window": 2.6,
    "failure rate or slow calls in a count window": 3.2,
    "failure rate or slow calls in a time window": 3.8,
}


def _clock() -> float:
    return time.monotonic()


def _watched() -> Iterator[Comparison]:
    for what, watch in telemetry.FREE.items():
        yield _row("watched", f"closed, success, {what}", SUCCESS, telemetry.succeeding(watch), 1.35)
    for what, (watch, bar) in telemetry.PER_CALL.items():
        yield _row("watched", f"closed, success, {what}", SUCCESS, telemetry.succeeding(watch), bar)
    yield _row("watched", "closed, success, an event stream of all kinds", SUCCESS, telemetry.streaming)
    what = "a listener of failures alone"
    failing_build = telemetry.failing(telemetry.FREE[what], broken)
    yield _row("watched", f"closed, failing call, {what}", FAILURE, failing_build)
    for what, (watch, _) in telemetry.PER_CALL.items():
        yield _row("watched", f"closed, failing call, {what}", FAILURE, telemetry.failing(watch, broken))


def _failing() -> Iterator[Comparison]:
    row = partial(_row, "failing")
    yield row(FAILING, FAILURE, failing(own.RECLOSER), 1.5)
    ignored = build_of(
        lambda: loops.failing_calls(own.breaker("ignored", ignored_exception=OSError)(broken), ConnectionError)
    )
    yield row("closed, ignored exception", FAILURE, ignored)
    judged = build_of(
        lambda: loops.failing_calls(own.breaker("judged", expected_exception=_is_failure)(broken), ConnectionError)
    )
    yield row("closed, failing call, a predicate on exceptions", FAILURE, judged)
    yield row("closed, failing block, `guard()`", FAILURE, _through(features.failing_guard, broken))


def _is_failure(error: BaseException) -> bool:
    return isinstance(error, OSError)


def _tripped(loop: Any, *arguments: Any) -> Build:  # noqa: ANN401 - a loop over an open breaker
    async def build() -> Run:
        breaker = CircuitBreaker("tripped", failure_threshold=TRIP_AFTER, reset_timeout_seconds=LONG_SECONDS)
        dependency = Dependency()
        await trip(own.RECLOSER, breaker(dependency.function()), dependency)
        run: Run = loop(breaker, *arguments)
        return run

    return build


def _forced_open() -> Run:
    breaker = own.breaker("forced")
    breaker.force_open("measured")
    return loops.failing_calls(breaker(work), own.RECLOSER.rejection)


def _open() -> Iterator[Comparison]:
    row = partial(_row, "open")
    yield row(REJECTED, REJECTION, rejecting(own.RECLOSER), 1.35)
    yield row("open, rejected, `guard()`", REJECTION, _tripped(features.rejected_guards, work))
    yield row("open, `try_acquire` -> None", REJECTION, _tripped(features.rejected_permits), 0.45)
    yield row("open, `try_acquire_nowait` -> None", REJECTION, _tripped(features.rejected_permits_nowait))
    yield row("forced open, rejected", REJECTION, build_of(_forced_open))
    yield row("open, rejected, log listener", REJECTION, telemetry.rejecting(telemetry.log))
    heard = telemetry.rejecting(telemetry.listener(CallRejected))
    key = "open, rejected, a listener of rejections (x a rejection without one)"
    yield Comparison("open", key, REJECTION.base, {"own": REJECTED}, heard, 2.5)


def _streams() -> Iterator[Comparison]:
    row = partial(_row, "streams")

    def streamed(loop: Any, **settings: Any) -> Build:  # noqa: ANN401 - the settings of a breaker
        return build_of(lambda: loop(own.breaker("streamed", **settings)(items_of)))

    yield row("an item of a stream", ITEM, streamed(loops.items), 4.5)
    yield row("a stream of one item", STREAM, streamed(loops.short_streams))
    yield row("an item of a stream, slow calls in a count window", ITEM, streamed(loops.items, trip_when=SLOW))
    overdue = streamed(loops.items, overdue_after_seconds=LONG_SECONDS)
    yield row("an item of a stream, `overdue_after_seconds`", ITEM, overdue)
    heard = telemetry.streamed(telemetry.listener(*telemetry.SINGLE_CALLS), items_of)
    yield row("an item of a stream, one listener of all single calls", ITEM, heard)
    limited = build_of(lambda: loops.items(Bulkhead(policies.PLACES)(items_of)))
    yield row("an item of a stream, a bulkhead instead of a breaker", ITEM, limited)


def _registry() -> Iterator[Comparison]:
    row = partial(_row, "keys")

    def registry() -> BreakerRegistry:
        found = BreakerRegistry(failure_threshold=NEVER, reset_timeout_seconds=LONG_SECONDS)
        found.breaker("api.example.com")
        return found

    def per_key() -> Run:
        decorate = registry().per_key("api", key=str)
        return loops.calls(decorate(work))

    yield row("closed, success, `registry[name].call`", SUCCESS, build_of(lambda: features.by_item(registry(), work)))
    by_name = build_of(lambda: features.by_name(registry(), work))
    yield row("closed, success, `registry.breaker(name).call`", SUCCESS, by_name)
    yield row("closed, success, `per_key`", SUCCESS, build_of(per_key))


def _policies() -> Iterator[Comparison]:
    for what, build in policies.POLICIES.items():
        yield Comparison("policies", f"policy: {what}", "bare await", {"floor": f"floor: {what}"}, build, 1.5)
