"""`LogListener`: one line for each transition, and one now and then for many rejections."""

import json
import logging
import math
from io import StringIO

import pytest
import structlog

from recloser import BreakerRegistry, StateChanged
from recloser.events import CallRejected
from recloser.telemetry import logging as module
from recloser.telemetry.logging import LogListener, is_no_transition
from recloser.testing import ManualClock
from tests.telemetry.kit import fail, live, make, succeed

pytestmark = pytest.mark.anyio

STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in STANDARD}


def lines(log: pytest.LogCaptureFixture, logger: str) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in log.records if record.name == logger]


def reject(registry: BreakerRegistry, name: str, times: int = 1) -> None:
    for _ in range(times):
        assert registry.breaker(name).try_acquire_nowait() is None


def listen(registry: BreakerRegistry, listener: LogListener) -> LogListener:
    registry.subscribe(listener, kinds=listener.kinds)
    return listener


def make_open(clock: ManualClock, **options: object) -> BreakerRegistry:
    registry = make(clock, reset_timeout_seconds=3600, **options)
    fail(registry, "payments", 2)
    return registry


async def test_the_librarys_own_lines_for_transitions_have_fields(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    make_open(clock)
    [record] = log.records
    assert record.name == "recloser"
    assert fields(record) == {
        "circuit_breaker": "payments",
        "old_state": "closed",
        "new_state": "open",
        "cause": "tripped",
        "rule": "2 consecutive failures",
        "observed": 2,
        "threshold": 2,
        "last_error": "a result that counts as a failure",
        "error_type": None,
        "error_status": None,
        "peer": None,
        "reason": None,
        "author": None,
        "failure_count": 2,
        "time_in_old_state_seconds": 0.0,
        "retry_after_seconds": 3600.0,
        "shadow": False,
        "outage_seconds": 0.0,
        "outage_rejections": 0,
        "outage_failed_probes": 0,
    }


async def test_a_listener_without_a_logger_repeats_no_transition(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    registry = make(clock)
    listen(registry, LogListener())
    await live(registry, "payments", clock)
    lines_of_transitions = [line for _, line in lines(log, "recloser") if " went from " in line]
    assert len(lines_of_transitions) == len(set(lines_of_transitions)) + 1 == 5  # it went half-open twice


async def test_a_logger_of_its_own_gets_one_line_for_each_transition(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    registry = make(clock)
    listen(registry, LogListener(logging.getLogger("app"), rejections_every_seconds=None))
    await live(registry, "payments", clock)
    assert lines(log, "app") == lines(log, "recloser")
    assert [level for level, _ in lines(log, "app")] == ["ERROR", "INFO", "ERROR", "INFO", "INFO"]
    told = {record.name: fields(record) for record in log.records}
    assert told["app"] == told["recloser"]


async def test_the_librarys_own_lines_can_be_left_out(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    own = logging.getLogger("recloser")
    own.addFilter(is_no_transition)
    try:
        make_open(clock)
        own.warning("something else")
    finally:
        own.removeFilter(is_no_transition)
    assert lines(log, "recloser") == [("WARNING", "something else")]


async def test_the_first_rejection_is_told_at_once(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    registry = make_open(clock)
    listen(registry, LogListener())
    log.clear()
    reject(registry, "payments")
    assert lines(log, "recloser") == [("WARNING", "Circuit breaker 'payments' rejected 1 call: it is open")]
    assert fields(log.records[0]) == {
        "circuit_breaker": "payments",
        "state": "open",
        "rejections": 1,
        "retry_after_seconds": 3600.0,
        "shadow": False,
    }


async def test_further_rejections_are_told_together_when_the_interval_is_over(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    registry = make_open(clock)
    listen(registry, LogListener(rejections_every_seconds=10))
    reject(registry, "payments", 50)
    clock.advance(9.9)
    reject(registry, "payments", 50)
    log.clear()
    clock.advance(0.1)
    reject(registry, "payments")
    assert lines(log, "recloser") == [("WARNING", "Circuit breaker 'payments' rejected 100 calls: it is open")]
    log.clear()
    reject(registry, "payments")
    assert lines(log, "recloser") == []


async def test_what_is_left_is_told_before_the_next_transition(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    registry = make_open(clock)
    listen(registry, LogListener(logging.getLogger("app")))
    reject(registry, "payments", 8)
    registry.breaker("payments").reset()
    assert [line for _, line in lines(log, "app")] == [
        "Circuit breaker 'payments' rejected 1 call: it is open",
        "Circuit breaker 'payments' rejected 7 calls: it is open",
        "Circuit breaker 'payments' went from open to closed: reset by hand; the outage lasted 0.0 s; 8 calls rejected",
    ]


async def test_each_breaker_has_an_interval_of_its_own(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    registry = make_open(clock)
    fail(registry, "search", 2)
    listen(registry, LogListener(logging.getLogger("app")))
    for name in ("payments", "search"):
        reject(registry, name, 3)
    assert len(lines(log, "app")) == 2


async def test_calls_that_shadow_mode_lets_through_are_told_as_such(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    registry = make_open(clock, shadow=True)
    listen(registry, LogListener(logging.getLogger("app")))
    succeed(registry, "payments")
    assert lines(log, "app") == [
        ("WARNING", "Circuit breaker 'payments' would have rejected 1 call: it is open"),
    ]


async def test_an_opening_in_shadow_mode_is_told_as_such_and_is_no_error(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    registry = make(clock, shadow=True)
    listen(registry, LogListener(logging.getLogger("app")))
    fail(registry, "payments", 2)
    line = "Circuit breaker 'payments' in shadow mode went from closed to open: 2 consecutive failures (threshold 2)"
    for logger in ("recloser", "app"):
        [(level, text)] = lines(log, logger)
        assert (level, text.startswith(line)) == ("INFO", True)
    assert [record.shadow for record in log.records] == [True, True]


async def test_rejections_of_very_many_breakers_take_bounded_room_and_are_all_told(
    clock: ManualClock, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BREAKERS", 2)
    registry = make(clock)
    listen(registry, LogListener(logging.getLogger("app")))
    for name in "abcde":
        fail(registry, name, 2)
        reject(registry, name, 3)
    told = [(r.circuit_breaker, r.rejections) for r in log.records if r.name == "app" and hasattr(r, "rejections")]
    assert told == [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("b", 2), ("d", 1), ("c", 2), ("e", 1)]


async def test_rejections_may_be_left_out(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    registry = make_open(clock)
    listener = LogListener(rejections_every_seconds=None)
    assert listener.kinds == (StateChanged,)
    registry.subscribe(listener)
    log.clear()
    reject(registry, "payments")
    assert log.records == []


async def test_a_listener_that_is_told_everything_passes_over_what_it_does_not_want(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    registry = make(clock)
    registry.subscribe(LogListener(logging.getLogger("app")))
    succeed(registry, "payments")
    assert lines(log, "app") == []


async def test_a_listener_of_its_kinds_leaves_the_closed_path_alone(clock: ManualClock) -> None:
    registry = make(clock)
    assert listen(registry, LogListener()).kinds == (StateChanged, CallRejected)
    assert registry.breaker("payments").engine.watch is None


async def test_structlog_gets_the_fields_as_key_and_value(clock: ManualClock) -> None:
    out = StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
    )
    registry = make(clock)
    listen(registry, LogListener(logger))
    fail(registry, "payments", 2)
    reject(registry, "payments", 2)
    registry.breaker("payments").reset()
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["level"] for line in told] == ["error", "warning", "warning", "info"]
    assert [line["event"] for line in told[1:]] == [
        "Circuit breaker 'payments' rejected 1 call: it is open",
        "Circuit breaker 'payments' rejected 1 call: it is open",
        "Circuit breaker 'payments' went from open to closed: reset by hand; the outage lasted 0.0 s; 2 calls rejected",
    ]
    assert (told[0]["circuit_breaker"], told[0]["new_state"], told[1]["rejections"]) == ("payments", "open", 1)


async def test_structlog_loggers_of_every_make_are_taken() -> None:
    for logger in (
        structlog.get_logger(),
        structlog.stdlib.get_logger("app"),
        structlog.make_filtering_bound_logger(logging.INFO)(None, [], {}),
    ):
        LogListener(logger)


class AsyncLogger:
    """A logger whose methods are coroutine functions."""

    def __repr__(self) -> str:
        return "AsyncLogger()"

    async def info(self, event: str, **_: object) -> None:
        pytest.fail(f"nothing awaits {event}")

    error = warning = info


class Forwarding:
    """A logger whose methods return what those of another one do."""

    def __init__(self, logger: AsyncLogger) -> None:
        self.logger = logger

    def info(self, event: str, **fields: object) -> object:
        return self.logger.info(event, **fields)

    error = warning = info


def test_a_logger_that_returns_coroutines_is_an_error_in_the_log(
    log: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    registry = BreakerRegistry(clock=clock)
    listener = LogListener(Forwarding(AsyncLogger()))
    registry.subscribe(listener, kinds=listener.kinds)
    registry.breaker("api").force_open("maintenance")
    (record,) = [record for record in log.records if record.exc_info]
    assert record.getMessage() == "A listener of circuit breaker 'api' raised on StateChanged"
    assert str(record.exc_info[1]) == "logger must be synchronous, but returned a coroutine, which is not awaited"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"logger": AsyncLogger()}, TypeError, "logger must be a synchronous logger, "),
        ({"logger": "app"}, TypeError, "logger must be a logging.Logger, or one that takes fields as keywords"),
        ({"logger": logging.LoggerAdapter(logging.getLogger(), {})}, TypeError, "logger must be a logging.Logger"),
        (
            {"rejections_every_seconds": 0},
            ValueError,
            "a finite number of seconds > 0, or None, not 0",
        ),
        (
            {"rejections_every_seconds": math.inf},
            ValueError,
            "a finite number of seconds > 0, or None, not inf",
        ),
        (
            {"rejections_every_seconds": math.nan},
            ValueError,
            "a finite number of seconds > 0, or None, not nan",
        ),
        (
            {"rejections_every_seconds": "10"},
            TypeError,
            "a finite number of seconds > 0, or None, not '10'",
        ),
        (
            {"rejections_every_seconds": True},
            TypeError,
            "a finite number of seconds > 0, or None, not True",
        ),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LogListener(**arguments)
