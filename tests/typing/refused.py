"""Wrong calls: mypy and pyright must both see the error on each marked line; one that they miss fails the check."""

# pyright: strict

from collections.abc import AsyncGenerator

from recloser import BreakerRegistry, CircuitBreaker, CountWindow, ExponentialBackoff, FailureRate, Permit, SlowCallRate

breaker = CircuitBreaker("payments")


@breaker
async def charge(amount: int) -> str:
    return str(amount)


@breaker
async def pages(count: int) -> AsyncGenerator[bytes, None]:
    for _ in range(count):
        yield b""


class Client:
    @breaker
    async def fetch(self, key: str) -> bytes:
        return key.encode()


async def refund(amount: int) -> float:
    return -float(amount)


def total(amounts: list[int]) -> int:
    return sum(amounts)


async def decorated() -> None:
    # A string is no amount.
    await charge("seven")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # The amount is missing.
    await charge()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # There is no such argument.
    await charge(amount=7, currency="EUR")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # The result is a string.
    receipt: int = await charge(7)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    # An int is no key.
    await Client().fetch(receipt)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # A page is bytes.
    async for page in pages(3):
        receipt = page  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    # An async generator is iterated, not awaited.
    await pages(3)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    # A plain function would block the event loop: call_in_thread is for it.
    breaker(total)  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def called() -> None:
    # A string is no amount.
    await breaker.call(refund, "seven")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    # The amount is missing.
    await breaker.call(refund)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    # The result is a float.
    receipt: str = await breaker.call(refund, 7)  # type: ignore[call-overload]  # pyright: ignore[reportAssignmentType]
    # A string is no list of amounts.
    await breaker.call_in_thread(total, receipt)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # A coroutine is not a function.
    await breaker.call(refund(7))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def permits() -> None:
    # acquire is awaited.
    permit: Permit = breaker.acquire()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    # An error's text is no error.
    permit.fail("down")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # try_acquire may return None.
    (await breaker.try_acquire()).succeed()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


def made() -> None:
    # A misspelt argument.
    CircuitBreaker("payments", failure_treshold=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # A word is no number.
    CircuitBreaker("payments", failure_threshold="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # Only the name is positional.
    CircuitBreaker("payments", 5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # An exception's name is no exception.
    CircuitBreaker(expected_exception="OSError")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # A number is no trip rule.
    CircuitBreaker(trip_when=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # A number is no window.
    FailureRate(0.5, window=100)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # What is slow has no default.
    SlowCallRate(0.5, window=CountWindow(100))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # A backoff's figures are named.
    ExponentialBackoff(1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def registered() -> None:
    # A misspelt default.
    BreakerRegistry(failure_treshold=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # A word is no number.
    BreakerRegistry().breaker("payments", max_probes="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # A key is a string.
    BreakerRegistry().per_key("accounts", key=len)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def controlled() -> None:
    # A reason must be given.
    breaker.force_open()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # The state is read, not set.
    breaker.state = "closed"  # type: ignore[misc, assignment]  # pyright: ignore[reportAttributeAccessIssue]
