"""Lets many tasks call an open breaker after its reset timeout, and counts the calls that reach the dependency."""

import asyncio

from benchmarks.contender import TRIP_AFTER, Contender, Dependency, trip

OPEN_SECONDS = 0.05

PATIENCE_SECONDS = 5.0
"""After this time, a probe answers even if some tasks still wait inside their breaker."""


async def reached_by(contender: Contender, tasks: int) -> int:
    """Returns how many of the tasks' calls reach the dependency.

    The dependency only answers when all other tasks are done or have reached it, too, so no call benefits from the
    success of an earlier one.

    Args:
        contender: The library.
        tasks: How many tasks call at the same time.
    """
    dependency = Dependency()
    ask = dependency.function()
    settled = asyncio.Event()
    rejected = 0
    probing = False

    async def slow(value: int) -> int:
        answer = await ask(value)
        if probing:
            note()
            await settled.wait()
        return answer

    def note() -> None:
        if dependency.reached + rejected >= tasks:
            settled.set()

    breaker = contender.make(f"herd of {tasks}", failure_threshold=TRIP_AFTER, reset_timeout_seconds=OPEN_SECONDS)
    protected = contender.protect(breaker, slow)
    await trip(contender, protected, dependency)
    await asyncio.sleep(2 * OPEN_SECONDS)
    dependency.reached = 0
    probing = True

    async def one() -> None:
        nonlocal rejected
        try:
            await protected(1)
        except contender.rejection:
            rejected += 1
            note()

    patience = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, settled.set)
    await asyncio.gather(*(one() for _ in range(tasks)))
    patience.cancel()
    return dependency.reached
