"""A process of a fleet: callers that ask a downstream through one shared breaker, and what they saw.

Arguments: its settings as JSON. Orders come as lines of JSON on the standard input, news go to the standard output.

- `{"report": true}` is answered by `{"report": {...}}`: what callers got so far, and the longest time in seconds that a
  call took which did not wait for the downstream.
- `{"call": true}`, `{"call": false}`: callers go on, or rest. `{"busy": 2.0}` holds up the event loop, in seconds.
- `{"old", "new", "at"}`: a transition, at an instant of the monotonic clock.
"""

import json
import logging
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from recloser import BreakerRegistry, CircuitBreakerOpenError, StateChanged
from recloser.fleet import RedisFleet

if TYPE_CHECKING:
    from anyio.abc import SocketStream

NAME = "downstream"


class DownError(Exception):
    """The downstream says that it can't."""


class Worker:
    """The callers of one process."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.seen: Counter[str] = Counter()
        self.longest = 0.0
        self.may_call = anyio.Event()
        if settings["calls"]:
            self.may_call.set()
        self.fleet = RedisFleet(
            settings["redis"],
            quorum=settings["quorum"],
            lease_seconds=settings["lease_seconds"],
            poll_seconds=settings["poll_seconds"],
            random=random.Random(settings["number"]),
        )
        registry = BreakerRegistry(
            fleet=self.fleet,
            failure_threshold=settings["failure_threshold"],
            reset_timeout_seconds=settings["open_seconds"],
            probe_timeout_seconds=settings["probe_timeout_seconds"],
        )
        self.breaker = registry.breaker(NAME)
        self.others = [registry.breaker(f"other-{number}") for number in range(settings["other_breakers"])]
        self.breaker.subscribe(lambda event: tell(old=event.old, new=event.new, at=event.monotonic), StateChanged)

    async def run(self) -> None:
        async with self.fleet, anyio.create_task_group() as tasks:
            for _ in range(self.settings["callers"]):
                tasks.start_soon(self.call_for_ever)
            tell(ready=True)
            async for line in anyio.wrap_file(sys.stdin):
                self.obey(json.loads(line))
            tasks.cancel_scope.cancel()
        tell(left=True)

    def obey(self, order: dict[str, Any]) -> None:
        if "busy" in order:
            time.sleep(order["busy"])
        elif "call" in order:
            if order["call"]:
                self.may_call.set()
            else:
                self.may_call = anyio.Event()
        else:
            status = self.fleet.status()
            tell(
                report={
                    **self.seen,
                    "connected": status["connected"],
                    "operations": status["store_operations"],
                    "generation": status["breakers"][NAME]["generation"],
                    "fleet_state": status["breakers"][NAME]["state"],
                    "state": self.breaker.get_state(),
                    "longest": self.longest,
                }
            )
            self.longest = 0.0

    async def call_for_ever(self) -> None:
        while True:
            await self.may_call.wait()
            await self.call()
            await anyio.sleep(self.settings["pause_seconds"] * random.uniform(0.5, 1.5))

    async def call(self) -> None:
        begun = time.perf_counter()
        try:
            async with self.breaker.guard() as permit:
                self.longest = max(self.longest, time.perf_counter() - begun)
                await self.ask(is_probe=permit.is_probe)
            self.seen["answers"] += 1
        except CircuitBreakerOpenError:
            self.longest = max(self.longest, time.perf_counter() - begun)
            self.seen["rejections"] += 1
        except (DownError, OSError, anyio.BrokenResourceError, anyio.EndOfStream):
            self.seen["failures"] += 1
        except Exception as error:  # noqa: BLE001 - whatever else reaches a caller is not its own
            self.seen[f"stray {type(error).__name__}: {error}"] += 1

    async def ask(self, *, is_probe: bool) -> None:
        stream: SocketStream = await anyio.connect_tcp("127.0.0.1", self.settings["port"])
        async with stream:
            await stream.send(f"{self.settings['number']} {'probe' if is_probe else 'call'}\n".encode())
            if await stream.receive() != b"ok\n":
                raise DownError


def tell(**news: object) -> None:
    sys.stdout.write(json.dumps(news) + "\n")
    sys.stdout.flush()


def shift_wall_clock(seconds: float) -> None:
    """Shifts the wall clock of this process, which must not matter."""
    true_time = time.time
    time.time = lambda: true_time() + seconds


if __name__ == "__main__":
    logging.getLogger("recloser").setLevel(logging.CRITICAL)
    with suppress(KeyboardInterrupt):
        chosen = json.loads(sys.argv[1])
        shift_wall_clock(chosen["wall_clock_ahead_seconds"])
        anyio.run(Worker(chosen).run)
