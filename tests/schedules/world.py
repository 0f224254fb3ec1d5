"""A breaker, the dependency behind it, callers in every style, and the model that says what must happen.

The model sees each call before the breaker does, and each end in the step in which the dependency ends.
At both points the two must agree. Since neither tells the other anything, an await in the wrong place inside the
breaker shows as a difference.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from random import Random

from recloser import CircuitBreakerOpenError, CircuitState, Permit, RejectedError
from recloser.testing.explorer import Schedule
from tests.schedules.judge import Judge
from tests.schedules.model import Model, Ticket, Verdict
from tests.schedules.plan import (
    BAD_RESULT,
    LONGEST_WAIT_SECONDS,
    MOST_MINIMUM_CALLS,
    ODD_RESULT,
    AnsweredError,
    IgnoredError,
    OddError,
    Plan,
    StopEverything,
)
from tests.schedules.watchers import Watchers

TOTALS = ("success", "failure", "ignored", "cancelled", "late", "leaked", "rejected")
SHOWN = (*TOTALS, "overdue")
NO_RESULT = object()
"""Returned by a style that has no result."""


Style = Callable[["Job"], Awaitable[object]]
NESTS = 0.1


@dataclass(eq=False)
class Job:
    """One call: what the dependency will do, and how the call ended."""

    result: object
    error: BaseException | None
    ticket: Ticket | None = None
    started: bool = False
    has_result: bool = False
    explicit: bool = False
    quick: bool = False
    inner: "Job | None" = None
    """A call through the same breaker that the dependency makes."""
    enters: bool = False
    """Whether what the dependency calls is part of a probe."""

    @classmethod
    def draw(cls, rng: Random) -> "Job":
        if rng.random() < 0.5:
            return cls(rng.choice((object(), object(), BAD_RESULT, ODD_RESULT)), None)
        error = rng.choice(
            (ConnectionError, ConnectionError, AnsweredError, IgnoredError, OddError, StopEverything, None)
        )
        return cls(None, RejectedError("inner", 1.0) if error is None else error("planned"))

    def answer(self) -> object:
        if self.error is not None:
            raise self.error
        return self.result


class World:
    """One breaker under test."""

    def __init__(self, schedule: Schedule, plan: Plan | None = None) -> None:
        self.schedule = schedule
        self.elapsed = 0.0
        self.plan = Plan.draw(schedule.rng) if plan is None else plan
        self.breaker = self.plan.breaker(self.now)
        self.watchers = Watchers(self.breaker, self.schedule.rng, self.agree, self.meddle)
        self.model = Model(self.plan, self.watchers.expect, self.watchers.are_timing)
        self.judge = Judge()
        self.decorated = self.breaker(self.dependency)
        self.stream = self.breaker(self.source)
        self.entering: tuple[Style, ...] = (self.by_call, self.by_decorator, self.by_guard, self.by_acquire)
        self.styles: tuple[Style, ...] = (
            *self.entering,
            self.by_try_acquire,
            self.by_try_acquire_nowait,
            self.by_generator,
            self.by_dropping_the_permit,
        )
        self.watchers.begin()

    # Time

    def now(self) -> float:
        """The breaker's clock, which continues from one event loop to the next."""
        return self.elapsed + self.schedule.now()

    def move_to(self, schedule: Schedule) -> None:
        """Moves the breaker to another event loop."""
        if schedule is not self.schedule:
            self.elapsed = self.now()
            self.schedule = schedule
            self.watchers.rng = schedule.rng

    # Control by hand

    def force_open(self, for_seconds: float | None) -> None:
        self.model.force_open(self.now(), for_seconds)
        self.breaker.force_open("maintenance", for_seconds=for_seconds)

    def disable(self) -> None:
        self.model.disable(self.now())
        self.breaker.disable()

    def reset(self) -> None:
        self.model.reset(self.now())
        self.breaker.reset()

    def reconfigure(self) -> None:
        """Changes everything but the trip rule, whose window would change as well."""
        drawn = Plan.draw(self.schedule.rng)
        changed = replace(drawn, rule=self.plan.rule, shadow=self.plan.shadow)
        options = changed.options()
        del options["trip_when"]
        self.breaker.reconfigure(**options)
        self.plan = changed
        self.model.reconfigure(changed)

    async def unlock(self) -> None:
        """Ends the states that only a reset ends."""
        while self.breaker.state in (CircuitState.FORCED_OPEN, CircuitState.DISABLED):
            self.reset()

    # Jobs

    def job(self) -> Job:
        job = Job.draw(self.schedule.rng)
        if self.schedule.rng.random() < NESTS:
            job.inner = Job.draw(self.schedule.rng)
        return job

    async def run(self, job: Job, style: Style | None = None, inside: Ticket | None = None) -> object:
        """Makes one call; checks the breaker's decision, and that the caller gets its own result or exception."""
        style = style or self.schedule.rng.choice(self.styles)
        job.enters = style in self.entering
        self.arrive(job, inside)
        try:
            result = await style(job)
        except CircuitBreakerOpenError:
            assert not job.started
            self.rejected(job)
        except asyncio.CancelledError:
            assert job.started, "cancelled inside the breaker"
            raise
        except BaseException as error:
            if error is not job.error:
                raise
        else:
            if result is not NO_RESULT:
                assert job.error is None
                assert result is job.result
            return result
        finally:
            self.agree()
        return None

    # What the model sees

    def arrive(self, job: Job, inside: Ticket | None = None) -> None:
        job.ticket = self.model.arrive(self.now(), inside)
        self.schedule.note(f"a call {'is rejected' if job.ticket is None else job.ticket.generation}")

    def rejected(self, job: Job) -> None:
        assert job.ticket is None, "rejected, but the model admits it"

    def begin(self, job: Job) -> Ticket:
        assert job.ticket is not None, "admitted, but the model rejects it"
        job.started = True
        self.agree()
        return job.ticket

    def end(self, job: Job, error: BaseException | None) -> None:
        ticket, now = job.ticket, self.now()
        assert ticket is not None
        plan = self.model.plan_of(ticket)
        self.schedule.note(f"a call of generation {ticket.generation} ends with {error!r}")
        if job.explicit:
            verdict = _explicit(error)
        elif isinstance(error, asyncio.CancelledError):
            verdict = self.model.cut_off(ticket, error, now - ticket.at, now)
        elif error is not None:
            verdict = self.judge.error(error, plan)
        else:
            verdict = self.judge.result(job.result, plan) if job.has_result else Verdict.SUCCESS
        told = error is not None and (not job.explicit or verdict is Verdict.FAILURE)
        self.settle(ticket, verdict, type(error).__qualname__ if told else None)

    def cut_off(self, job: Job, error: asyncio.CancelledError, waited: float) -> None:
        """Cancels a stream while its next item is awaited."""
        ticket = job.ticket
        assert ticket is not None
        self.settle(ticket, self.model.cut_off(ticket, error, waited, self.now()), type(error).__qualname__)

    def settle(self, ticket: Ticket, verdict: Verdict, error_type: str | None = None) -> None:
        self.model.settle(ticket, verdict, self.now(), error_type)

    def leak(self, ticket: Ticket) -> None:
        self.model.leak(ticket)

    def agree(self) -> None:
        now, model, breaker = self.now(), self.model, self.breaker
        seen = breaker.state.value, breaker.generation, breaker.failure_count
        right = model.state, model.generation, model.failure_count(now)
        assert seen == right, f"the breaker is {seen}, the model {right}"
        machine, totals = breaker.engine.machine, model.totals
        counted = machine.epoch.successes + machine.probe_successes, machine.epoch.failures + machine.probe_failures
        assert counted == (totals["success"], totals["failure"])

    def meddle(self) -> None:
        """Acquires a permit and settles it, in the middle of the delivery of an event."""
        ticket, permit = self.model.arrive(self.now()), self.breaker.try_acquire_nowait()
        assert (permit is None) == (ticket is None)
        if permit is not None and ticket is not None:
            succeeds = self.schedule.rng.random() < 0.5
            self.settle(ticket, Verdict.SUCCESS if succeeds else Verdict.IGNORED)
            permit.succeed() if succeeds else permit.ignore()

    # The dependency

    async def dependency(self, job: Job) -> object:
        ticket = self.begin(job)
        try:
            if job.inner is not None:
                await self.run(job.inner, inside=ticket if job.enters else None)
            if not job.quick:
                await self.schedule.pause()
            result = job.answer()
        except BaseException as error:
            self.end(job, error)
            raise
        self.end(job, None)
        return result

    async def source(self, job: Job) -> AsyncGenerator[int, None]:
        """The dependency as a stream of some items."""
        ticket = self.begin(job)
        began = ticket.at
        try:
            for item in range(self.schedule.rng.randrange(4)):
                await self.schedule.pause(0.5)
                self.model.progress(ticket, self.now())
                paused = self.now()
                self.model.part(ticket, paused - began, is_first=item == 0)
                try:
                    yield item
                finally:
                    began = self.now()
                    ticket.idle += began - paused
            await self.schedule.pause(0.5)
            job.answer()
        except GeneratorExit:
            self.settle(ticket, Verdict.SUCCESS if ticket.progressed else Verdict.IGNORED)
            raise
        except asyncio.CancelledError as error:
            self.cut_off(job, error, self.now() - began)
            raise
        except BaseException as error:
            self.end(job, error)
            raise
        self.end(job, None)

    # The styles

    async def by_call(self, job: Job) -> object:
        job.has_result = True
        return await self.breaker.call(self.dependency, job)

    async def by_decorator(self, job: Job) -> object:
        job.has_result = True
        return await self.decorated(job)

    async def by_guard(self, job: Job) -> object:
        async with self.breaker.guard():
            return await self.dependency(job)

    async def by_acquire(self, job: Job) -> object:
        with await self.breaker.acquire():
            return await self.dependency(job)

    async def by_try_acquire(self, job: Job) -> object:
        return await self._with(await self.breaker.try_acquire(), job)

    async def by_try_acquire_nowait(self, job: Job) -> object:
        return await self._with(self.breaker.try_acquire_nowait(), job)

    async def _with(self, permit: Permit | None, job: Job) -> object:
        if permit is None:
            raise CircuitBreakerOpenError(self.breaker.name)
        assert job.ticket is not None
        assert permit.is_probe == job.ticket.is_probe
        job.explicit = True
        try:
            result = await self.dependency(job)
        except Exception as error:
            permit.fail(error)
            raise
        except BaseException:
            permit.ignore()
            raise
        else:
            permit.succeed()
        finally:
            for again in self.schedule.rng.sample((permit.succeed, permit.fail, permit.ignore), 2):
                again()
        return result

    async def by_generator(self, job: Job) -> object:
        """Reads a stream to its end, or closes it early."""
        items = self.stream(job)
        patience = self.schedule.rng.randrange(1, 5)
        async with aclosing(items):
            async for _ in items:
                patience -= 1
                if patience == 0:
                    return NO_RESULT
                await self.schedule.pause(0.5)
        return NO_RESULT

    async def by_dropping_the_permit(self, job: Job) -> object:
        permit = await self.breaker.acquire()
        ticket = self.begin(job)
        try:
            await self.schedule.pause()
        finally:
            self.leak(ticket)
            del permit
        return NO_RESULT

    # The end

    async def recover(self) -> None:
        """Checks that after enough time calls are admitted and successes close the breaker, whatever has happened.

        The first calls may still trip a closed breaker whose rate was undefined because it had too few calls.
        """
        for _ in range(MOST_MINIMUM_CALLS + self.plan.success_threshold):
            await asyncio.sleep(LONGEST_WAIT_SECONDS)
            job = Job(object(), None, quick=True)
            await self.run(job, self.by_call)
            assert job.started, "the breaker is stuck"
            if self.model.is_clean():
                break
        assert self.breaker.state is CircuitState.CLOSED, f"successes leave the breaker {self.breaker.state}"

    def add_up(self) -> None:
        """The breaker's totals are the model's, and every admission ended once."""
        health, totals = self.breaker.health(), self.model.totals
        seen, right = {kind: health[f"{kind}_total"] for kind in SHOWN}, {kind: totals[kind] for kind in SHOWN}
        assert seen == right, f"the breaker counts {seen}, the model {right}"
        shadow = totals["would_reject"], totals["shadow_failure"], totals["shadow_success"]
        assert self.breaker.snapshot().shadow_calls == shadow
        settled = sum(totals[kind] for kind in TOTALS) - totals["rejected"]
        ends = totals["admitted"] + totals["timed_out"] + totals["continued"]
        assert settled + totals["leaked_after_time_out"] == ends, totals
        assert health["probes_in_flight"] == 0
        self.watchers.check()


def _explicit(error: BaseException | None) -> Verdict:
    if error is None:
        return Verdict.SUCCESS
    return Verdict.FAILURE if isinstance(error, Exception) else Verdict.IGNORED
