"""State changes in the log: the logger `recloser`, its levels, and that errors in logging break nothing."""

import asyncio
import logging
from collections.abc import Iterator

import anyio
import pytest

from recloser import CircuitState
from recloser.testing import ManualClock
from tests.breaker.kit import (
    DependencyError,
    answer,
    fail,
    fail_once,
    make,
    make_open,
    make_probing,
    make_ready,
    totals,
)

pytestmark = pytest.mark.anyio

CLOSED_AGAIN = "1 of 1 probe succeeded; the outage lasted 60.0 s"
OPEN_AGAIN = (
    "a probe failed; last error DependencyError: down; the outage has lasted 60.0 s and began with: "
    "1 consecutive failure (threshold 1); 1 probe failed; errors so far: 2 x DependencyError"
)

LOGGER = logging.getLogger("recloser")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="recloser")
    return caplog


def lines(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in log.records if record.name == "recloser"]


class Rude(logging.Handler):
    """A handler, and a filter, that raises."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error = error

    def handle(self, record: logging.LogRecord) -> bool:
        raise self.error(record.getMessage())

    filter = handle


@pytest.fixture(params=["handler", "filter"])
def rude(request: pytest.FixtureRequest) -> Iterator[None]:
    """Makes every log record raise."""
    yield from attached(request.param, ValueError)


def attached(where: str, error: type[BaseException]) -> Iterator[None]:
    rude, level = Rude(error), LOGGER.level
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(rude) if where == "handler" else LOGGER.addFilter(rude)
    yield
    LOGGER.removeHandler(rude)
    LOGGER.removeFilter(rude)
    LOGGER.setLevel(level)


async def test_an_opening_is_logged_as_an_error_with_its_cause_in_numbers(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    breaker = make(clock, failure_threshold=2)
    await fail_once(breaker)
    await fail_once(breaker)
    [(level, line)] = lines(log)
    assert level == "ERROR"
    assert line == (
        "Circuit breaker 'payments' went from closed to open: "
        "2 consecutive failures (threshold 2); last error DependencyError: down"
    )


async def test_half_open_and_closed_are_logged_as_information(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    breaker = await make_ready(clock)
    log.clear()
    await breaker.call(answer)
    assert lines(log) == [
        (
            "INFO",
            "Circuit breaker 'payments' went from open to half_open: the reset timeout has elapsed and a call arrived",
        ),
        (
            "INFO",
            "Circuit breaker 'payments' went from half_open to closed: " + CLOSED_AGAIN,
        ),
    ]


async def test_a_probe_that_fails_is_logged_as_an_error(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    breaker = await make_ready(clock)
    log.clear()
    await fail_once(breaker)
    assert lines(log)[-1] == (
        "ERROR",
        "Circuit breaker 'payments' went from half_open to open: " + OPEN_AGAIN,
    )


async def test_control_by_hand_is_logged(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance")
    breaker.disable()
    breaker.reset()
    assert lines(log) == [
        ("ERROR", "Circuit breaker 'payments' went from closed to forced_open: forced open until reset: maintenance"),
        (
            "INFO",
            "Circuit breaker 'payments' went from forced_open to disabled: disabled by hand; the outage lasted 0.0 s",
        ),
        ("INFO", "Circuit breaker 'payments' went from disabled to closed: reset by hand"),
    ]


async def test_calls_and_rejections_are_not_logged(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    breaker = await make_open(clock)
    log.clear()
    await breaker.try_acquire()
    assert lines(log) == []


async def test_a_percent_sign_in_a_name_or_a_reason_is_logged_as_it_is(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    make(clock).force_open("100 %s down")
    assert lines(log)[0][1].endswith("forced open until reset: 100 %s down")


async def test_an_error_on_several_lines_is_logged_on_one(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    breaker = make(clock)
    with pytest.raises(DependencyError):
        await breaker.call(fail, DependencyError("first\nERROR forged\r\n second"))
    assert lines(log)[0][1].endswith("last error DependencyError: first ERROR forged second")


async def test_a_predicate_that_raises_is_logged_with_its_traceback(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    breaker = make(clock, failure_threshold=2, expected_exception=lambda exc: exc.status == 500)
    await fail_once(breaker)
    assert lines(log) == [("ERROR", "A predicate of circuit breaker 'payments' raised; the call counts as failed")]
    assert log.records[0].exc_info[0] is AttributeError


async def test_a_failed_result_that_raises_is_logged_with_its_traceback(
    clock: ManualClock, log: pytest.LogCaptureFixture
) -> None:
    breaker = make(clock, failure_threshold=2, failed_result=lambda result: result.status == 500)
    assert await breaker.call(answer) == "answer"
    assert lines(log) == [("ERROR", "failed_result of circuit breaker 'payments' raised; the call counts as failed")]
    assert log.records[0].exc_info[0] is AttributeError


async def test_nothing_is_logged_below_the_level_of_the_logger(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="recloser")
    breaker = await make_ready(clock)
    caplog.clear()
    await breaker.call(answer)
    assert lines(caplog) == []


@pytest.mark.usefixtures("rude")
async def test_logging_that_raises_does_not_reach_the_caller_of_the_call_that_trips(clock: ManualClock) -> None:
    breaker, error = make(clock), DependencyError()
    with pytest.raises(DependencyError) as caught:
        await breaker.call(fail, error)
    assert caught.value is error
    assert breaker.state is CircuitState.OPEN


@pytest.mark.usefixtures("rude")
async def test_a_probe_closes_the_breaker_although_logging_raises(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    assert await breaker.call(answer) == "answer"
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.usefixtures("rude")
async def test_logging_that_raises_does_not_reach_the_caller_of_manual_control(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance")
    breaker.reset()
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.usefixtures("rude")
@pytest.mark.parametrize("argument", ["expected_exception", "ignored_exception"])
async def test_logging_that_raises_about_a_predicate_that_raises_gives_the_probe_permit_back(
    clock: ManualClock, argument: str
) -> None:
    breaker, error = await make_ready(clock), DependencyError()
    breaker.reconfigure(**{argument: lambda exc: exc.status})
    with pytest.raises(DependencyError) as caught:
        await breaker.call(fail, error)
    assert caught.value is error
    assert (breaker.state, breaker.health()["probes_in_flight"]) == (CircuitState.OPEN, 0)


@pytest.mark.usefixtures("rude")
async def test_logging_that_raises_about_a_failed_result_that_raises_gives_the_probe_permit_back(
    clock: ManualClock,
) -> None:
    breaker = await make_ready(clock)
    breaker.reconfigure(failed_result=lambda result: result.status)
    assert await breaker.call(answer) == "answer"
    assert (breaker.state, breaker.health()["probes_in_flight"]) == (CircuitState.OPEN, 0)


@pytest.mark.usefixtures("rude")
async def test_other_listeners_are_called_although_logging_raises_about_one_that_raises(
    clock: ManualClock,
) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(lambda event: event.unknown)
    breaker.subscribe(events.append)
    await breaker.call(answer)
    breaker.reset()
    assert [type(event).__name__ for event in events] == ["CallSucceeded", "StateChanged"]


@pytest.mark.usefixtures("rude")
async def test_logging_that_raises_about_a_clock_that_raises_does_not_reach_the_caller(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    clock._now = None  # noqa: SLF001 - a clock that fails
    permit.succeed()
    assert breaker.state is CircuitState.CLOSED
    assert breaker.health()["probes_in_flight"] == 0


@pytest.mark.usefixtures("rude")
def test_cancellations_are_not_failures_although_logging_about_them_raises(clock: ManualClock) -> None:
    async def main() -> None:
        breaker = make(clock)
        for _ in range(20):
            task = asyncio.ensure_future(breaker.call(anyio.sleep_forever))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert totals(breaker) == {"cancelled": 20}

    asyncio.run(main())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["handler", "filter"])
async def test_an_interrupt_in_logging_while_a_probe_is_admitted_gives_the_permit_back(
    clock: ManualClock, where: str, error: type[BaseException]
) -> None:
    breaker = await make_ready(clock)
    fixture = attached(where, error)
    next(fixture)
    try:
        with pytest.raises(error):
            await breaker.call(answer)
    finally:
        next(fixture, None)
    assert breaker.health()["probes_in_flight"] == 0
    assert await breaker.call(answer) == "answer"


@pytest.mark.parametrize(
    "settings",
    [
        {"expected_exception": lambda exc: exc.status},
        {"ignored_exception": lambda exc: exc.status},
        {"failed_result": lambda result: result.status},
    ],
    ids=lambda settings: next(iter(settings)),
)
async def test_an_interrupt_in_logging_about_a_predicate_that_raises_gives_the_probe_permit_back(
    clock: ManualClock, settings: dict[str, object]
) -> None:
    breaker, permit = await make_probing(clock, max_probes=2, **settings)
    fixture = attached("handler", KeyboardInterrupt)
    next(fixture)
    try:
        with pytest.raises(KeyboardInterrupt):
            await breaker.call(answer if "failed_result" in settings else fail)
    finally:
        next(fixture, None)
    assert breaker.state is CircuitState.OPEN
    assert breaker.health()["probes_in_flight"] == 0
    permit.ignore()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_other_listeners_are_called_although_logging_about_one_raises_an_interrupt(
    clock: ManualClock, error: type[BaseException]
) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(lambda event: event.unknown)
    breaker.subscribe(events.append)
    fixture = attached("handler", error)
    next(fixture)
    try:
        with pytest.raises(error):
            await breaker.call(answer)
    finally:
        next(fixture, None)
    assert [type(event).__name__ for event in events] == ["CallSucceeded"]


async def test_listeners_hear_of_a_change_although_logging_it_raises_an_interrupt(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(events.append)
    fixture = attached("handler", KeyboardInterrupt)
    next(fixture)
    try:
        with pytest.raises(KeyboardInterrupt):
            breaker.disable()
    finally:
        next(fixture, None)
    assert [event.new for event in events] == [CircuitState.DISABLED]


@pytest.mark.parametrize("where", ["handler", "filter"])
async def test_an_interrupt_in_logging_still_wakes_waiting_tasks(clock: ManualClock, where: str) -> None:
    breaker, answers = await make_open(clock), []

    async def wait() -> None:
        answers.append(await breaker.wait_until_ready(5))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        fixture = attached(where, KeyboardInterrupt)
        next(fixture)
        try:
            with pytest.raises(KeyboardInterrupt):
                breaker.reset()
        finally:
            next(fixture, None)
        await anyio.wait_all_tasks_blocked()
        assert answers == [True]
