"""Makes calls of a healthy dependency until it is told to stop, and prints what the breaker has counted.

It is run as a process of its own, which the test stops and continues: `python -m tests.rules.stopped asyncio`.
"""

import json
import sys

import anyio
import anyio.lowlevel

from recloser import CircuitBreaker

STEP_SECONDS = 0.01
BUDGET_SECONDS = 0.3
CALLERS = 10


async def work() -> None:
    """Takes several steps, as a request does: to connect, to send, to receive."""
    for _ in range(4):
        await anyio.sleep(STEP_SECONDS)


async def work_with_limit() -> None:
    with anyio.fail_after(BUDGET_SECONDS):
        await work()


async def main() -> None:
    cut_off, limited = CircuitBreaker("cut off"), CircuitBreaker("limited")

    async def cut_off_calls() -> None:
        while True:
            with anyio.move_on_after(BUDGET_SECONDS):
                await cut_off.call(work)

    async def limited_calls() -> None:
        while True:
            try:
                await limited.call(work_with_limit)
            except TimeoutError:
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(CALLERS):
            tasks.start_soon(cut_off_calls)
            tasks.start_soon(limited_calls)
        await anyio.sleep(0.5)
        sys.stdout.write("running\n")
        sys.stdout.flush()
        await anyio.to_thread.run_sync(sys.stdin.readline)
        await anyio.sleep(0.5)
        tasks.cancel_scope.cancel()
    sys.stdout.write(json.dumps({breaker.name: breaker.health() for breaker in (cut_off, limited)}))


if __name__ == "__main__":
    on_uvloop = sys.argv[1] == "uvloop"
    options = {"use_uvloop": True} if on_uvloop else {}
    anyio.run(main, backend="asyncio" if on_uvloop else sys.argv[1], backend_options=options)
