"""The worker processes, as the demo sees them: it tells each what to call, and each reports what its breaker does."""

import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from demos.fleet.pace import Pace

__all__ = ["Change", "DemoError", "WorkerProcess", "Workers", "stop", "until"]

_ROOT = Path(__file__).parents[2]
_EXIT_SECONDS = 5.0
_POLL_SECONDS = 0.002


class DemoError(RuntimeError):
    """The demo can't go on, because something that it waits for does not happen."""


@dataclass(frozen=True, slots=True)
class Change:
    """A transition of one worker's breaker.

    Attributes:
        old: The state that it left.
        new: The state that it is in.
        at: Seconds of the monotonic clock.
    """

    old: str
    new: str
    at: float


@dataclass(slots=True)
class WorkerProcess:
    """One worker.

    Attributes:
        number: Its number, counted from 1.
        process: Its process.
        changes: The transitions of its breaker so far.
        connected: Whether it reports the store as reachable; None before its first report.
    """

    number: int
    process: Process
    changes: list[Change] = field(default_factory=list[Change])
    connected: bool | None = None

    @property
    def lane(self) -> str:
        """The upstream's name for it."""
        return f"worker-{self.number}"

    @property
    def state(self) -> str:
        """The state of its breaker."""
        return self.changes[-1].new if self.changes else "closed"

    async def call(self, url: str) -> None:
        """Make it call this URL from now on."""
        assert self.process.stdin is not None  # noqa: S101 - it was made with a pipe
        await self.process.stdin.send(json.dumps({"url": url}).encode() + b"\n")

    async def listen(self) -> None:
        """Record what it reports until it ends.

        Raises:
            DemoError: It has ended by itself.
        """
        assert self.process.stdout is not None  # noqa: S101 - it was made with a pipe
        rest = ""
        async for text in TextReceiveStream(self.process.stdout):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                self._record(json.loads(line))
        raise DemoError(f"worker {self.number} ended early, with exit code {await self.process.wait()}")

    def _record(self, report: dict[str, object]) -> None:
        if "connected" in report:
            self.connected = bool(report["connected"])
        else:
            self.changes.append(Change(str(report["old"]), str(report["new"]), float(str(report["at"]))))


@dataclass(frozen=True, slots=True)
class Workers:
    """All workers.

    Attributes:
        each: The workers, by number.
    """

    each: tuple[WorkerProcess, ...]

    def are(self, state: str) -> bool:
        """Return whether all breakers are in a state."""
        return all(worker.state == state for worker in self.each)

    def since(self, begun: float, new: str) -> list[float]:
        """Return when breakers went into a state, since an instant of the monotonic clock."""
        return sorted(
            change.at for worker in self.each for change in worker.changes if change.at >= begun and change.new == new
        )

    def are_connected(self, *, connected: bool) -> bool:
        """Return whether the store is reachable for all workers, or for none of them."""
        return all(worker.connected is connected for worker in self.each)

    @classmethod
    @asynccontextmanager
    async def started(cls, count: int, redis_url: str, upstream_url: str, pace: Pace) -> AsyncGenerator["Workers"]:
        """Start workers, each with its own path at the upstream; they have ended when the block has."""
        async with AsyncExitStack() as stack:
            workers: list[WorkerProcess] = []
            for number in range(1, count + 1):
                url = f"{upstream_url}/worker-{number}/1"
                command = [sys.executable, "-m", "demos.fleet.worker", redis_url, url, json.dumps(asdict(pace))]
                process = await anyio.open_process(command, stderr=None, cwd=_ROOT)
                stack.push_async_callback(stop, process)
                workers.append(WorkerProcess(number, process))
            async with anyio.create_task_group() as tasks:
                for worker in workers:
                    tasks.start_soon(worker.listen)
                yield cls(tuple(workers))
                tasks.cancel_scope.cancel()


async def stop(process: Process) -> None:
    """End a worker by closing its standard input; kill it if that does not help."""
    with anyio.CancelScope(shield=True):
        assert process.stdin is not None  # noqa: S101 - it was made with a pipe
        await process.stdin.aclose()
        with anyio.move_on_after(_EXIT_SECONDS):
            await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()


async def until(is_so: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for something that other processes do.

    Args:
        is_so: Whether it has happened.
        what: What this is, as a clause for the error's message.
        seconds: How long to wait.

    Raises:
        DemoError: It has not happened after that many seconds.
    """
    with anyio.move_on_after(seconds):
        while not is_so():  # noqa: ASYNC110 - no event reports it
            await anyio.sleep(_POLL_SECONDS)
        return
    raise DemoError(f"it did not happen within {seconds:.0f} s that {what}")
