"""The workers as their director sees them: processes that are ordered about, and tell what they do."""

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

__all__ = ["Change", "Crew", "Hand", "StageError", "until"]

_ROOT = Path(__file__).parents[2]
_FAREWELL_SECONDS = 5.0
_LOOK_SECONDS = 0.002


class StageError(RuntimeError):
    """The play can't go on, since something for which it waits does not come."""


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
class Hand:
    """One worker.

    Attributes:
        number: Its number, from 1 on.
        process: Its process.
        changes: What its breaker has done so far.
        connected: Whether it says that the store is reachable; None before it has said anything.
    """

    number: int
    process: Process
    changes: list[Change] = field(default_factory=list[Change])
    connected: bool | None = None

    @property
    def lane(self) -> str:
        """What the upstream knows it by."""
        return f"worker-{self.number}"

    @property
    def state(self) -> str:
        """The state of its breaker."""
        return self.changes[-1].new if self.changes else "closed"

    async def order(self, url: str) -> None:
        """Tell it what to call from now on."""
        assert self.process.stdin is not None  # noqa: S101 - it was made with a pipe
        await self.process.stdin.send(json.dumps({"url": url}).encode() + b"\n")

    async def listen(self) -> None:
        """Take note of what it tells, until it ends.

        Raises:
            StageError: It has ended, though nobody asked it to.
        """
        assert self.process.stdout is not None  # noqa: S101 - it was made with a pipe
        rest = ""
        async for text in TextReceiveStream(self.process.stdout):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                self._hear(json.loads(line))
        raise StageError(f"worker {self.number} ended early, with exit code {await self.process.wait()}")

    def _hear(self, news: dict[str, object]) -> None:
        if "connected" in news:
            self.connected = bool(news["connected"])
        else:
            self.changes.append(Change(str(news["old"]), str(news["new"]), float(str(news["at"]))))


@dataclass(frozen=True, slots=True)
class Crew:
    """All workers.

    Attributes:
        hands: Each of them.
    """

    hands: tuple[Hand, ...]

    def are(self, state: str) -> bool:
        """Return whether all breakers are in a state."""
        return all(hand.state == state for hand in self.hands)

    def since(self, begun: float, new: str) -> list[float]:
        """Return when breakers went into a state, since an instant of the monotonic clock."""
        return sorted(
            change.at for hand in self.hands for change in hand.changes if change.at >= begun and change.new == new
        )

    def are_connected(self, *, connected: bool) -> bool:
        """Return whether the store is reachable for all, or for none."""
        return all(hand.connected is connected for hand in self.hands)

    @classmethod
    @asynccontextmanager
    async def working(cls, count: int, redis_url: str, upstream_url: str, pace: Pace) -> AsyncGenerator["Crew"]:
        """Start so many workers, each with its own path at the upstream; at the end of the block they have ended."""
        async with AsyncExitStack() as stack:
            hands: list[Hand] = []
            for number in range(1, count + 1):
                url = f"{upstream_url}/worker-{number}/1"
                command = [sys.executable, "-m", "demos.fleet.worker", redis_url, url]
                process = await anyio.open_process([*command, json.dumps(asdict(pace))], stderr=None, cwd=_ROOT)
                stack.push_async_callback(_dismiss, process)
                hands.append(Hand(number, process))
            async with anyio.create_task_group() as tasks:
                for hand in hands:
                    tasks.start_soon(hand.listen)
                yield cls(tuple(hands))
                tasks.cancel_scope.cancel()


async def _dismiss(process: Process) -> None:
    """End a worker by closing its standard input; kill it if it does not listen."""
    with anyio.CancelScope(shield=True):
        assert process.stdin is not None  # noqa: S101 - it was made with a pipe
        await process.stdin.aclose()
        with anyio.move_on_after(_FAREWELL_SECONDS):
            await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()


async def until(is_so: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until something is so that other processes bring about.

    Raises:
        StageError: It is not so after that many seconds.
    """
    with anyio.move_on_after(seconds):
        while not is_so():  # noqa: ASYNC110 - nobody tells when
            await anyio.sleep(_LOOK_SECONDS)
        return
    raise StageError(f"{what} did not come about within {seconds:.0f} s")
