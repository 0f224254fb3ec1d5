"""One worker: a process that calls the upstream again and again through its own breaker.

Standard input brings lines of JSON, `{"url": "..."}`: the URL to call from now on. Standard output carries reports:
`{"old", "new", "at"}` for each transition, in seconds of the monotonic clock, which all processes of a machine share,
and `{"connected"}` whenever the store becomes reachable or unreachable. The process ends when its standard input does.
"""

import json
import logging
import signal
import sys
from contextlib import suppress

import anyio
import httpx

from demos.fleet.pace import NAME, THRESHOLD, Pace
from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError, StateChanged
from recloser.fleet import RedisFleet
from recloser.integrations.http_errors import is_failure

__all__ = ["Worker", "main", "report"]

_TIMEOUT_SECONDS = 2.0


class Worker:
    """Calls the upstream, and reports what its breaker does.

    Args:
        redis_url: The fleet's store.
        url: The first URL to call.
        pace: The times of the run.
    """

    def __init__(self, redis_url: str, url: str, pace: Pace) -> None:
        self.url = url
        self._pace = pace
        self._fleet = RedisFleet(
            redis_url, namespace="demo", poll_seconds=pace.poll_seconds, lease_seconds=pace.lease_seconds
        )
        registry = BreakerRegistry(
            fleet=self._fleet,
            failure_threshold=THRESHOLD,
            reset_timeout_seconds=pace.reset_timeout_seconds,
            expected_exception=is_failure,
        )
        self._breaker: CircuitBreaker = registry.breaker(NAME)
        self._breaker.subscribe(self._report_change, StateChanged)
        self._was_connected: bool | None = None

    async def run(self) -> None:
        """Call, and read lines, until standard input ends."""
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client,
            self._fleet,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._call_for_ever, client)
            async for line in anyio.wrap_file(sys.stdin):
                self.url = json.loads(line)["url"]
            tasks.cancel_scope.cancel()

    async def _call_for_ever(self, client: httpx.AsyncClient) -> None:
        while True:
            if self._fleet.is_connected is not self._was_connected:
                self._was_connected = self._fleet.is_connected
                report(connected=self._was_connected)
            with suppress(httpx.HTTPError, CircuitBreakerOpenError):
                await self._breaker.call(self._fetch, client)
            await anyio.sleep(self._pace.pause_seconds)

    async def _fetch(self, client: httpx.AsyncClient) -> None:
        (await client.get(self.url)).raise_for_status()

    def _report_change(self, event: StateChanged) -> None:
        report(old=event.old, new=event.new, at=event.monotonic)


def report(**facts: object) -> None:
    """Write a report to standard output, as a line of JSON."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run a worker; the arguments are the URL of Redis, the first URL to call, and the times as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the demo ends its workers
    logging.getLogger("recloser").setLevel(logging.CRITICAL)  # the demo prints what happens
    redis_url, url, times = sys.argv[1:]
    anyio.run(Worker(redis_url, url, Pace(**json.loads(times))).run)


if __name__ == "__main__":
    main()
