"""A naive breaker and broken copies of it: the bugs that the explorer has to find.

Each broken copy differs from the sound one in one place, and each of them passes an ordinary test.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.lowlevel

from recloser.testing.explorer import Schedule

T = TypeVar("T")

FAILURE_THRESHOLD = 2
RESET_SECONDS = 0.5
MAX_PROBES = 2


class ToyRejectedError(Exception):
    """The toy rejected the call."""


class Episode:
    """One half-open period and its permits."""

    def __init__(self) -> None:
        self.permits = anyio.Semaphore(MAX_PROBES, max_value=MAX_PROBES)

    def take(self) -> bool:
        try:
            self.permits.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True


class ToyBreaker:
    """Closed, open after failures in a row, half-open with a few probes."""

    def __init__(self, schedule: Schedule) -> None:
        self.now = schedule.now
        self.history: list[tuple[str, int]] = []
        self.state = "closed"
        self.generation = 0
        self.failures = 0
        self.reopen_at = 0.0
        self.episode = Episode()

    def go(self, state: str) -> None:
        self.history.append((f"{self.state} -> {state}", self.generation))
        self.state = state
        self.generation += 1
        self.failures = 0
        self.reopen_at = self.now() + RESET_SECONDS

    async def take(self) -> Episode | None:
        """Takes the permit of a probe; None while closed."""
        if self.state == "open" and self.now() >= self.reopen_at:
            self.episode = Episode()
            self.go("half_open")
        if self.state == "closed":
            return None
        if self.state == "open" or not self.episode.take():
            raise ToyRejectedError
        return self.episode

    async def give(self, episode: Episode | None) -> None:
        """Gives the permit of a probe back; there is none while closed."""
        if episode is not None:
            episode.permits.release()

    def counts(self, generation: int) -> bool:
        return generation == self.generation

    def settle(self, generation: int, *, failed: bool) -> None:
        if not self.counts(generation):
            return
        if not failed:
            self.failures = 0
            if self.state == "half_open":
                self.go("closed")
            return
        self.failures += 1
        if self.state == "half_open" or self.failures >= FAILURE_THRESHOLD:
            self.go("open")

    async def call(self, function: Callable[..., Awaitable[T]], **options: bool) -> T:
        episode = await self.take()
        generation = self.generation
        try:
            result = await function(**options)
        except Exception:
            self.settle(generation, failed=True)
            raise
        else:
            self.settle(generation, failed=False)
            return result
        finally:
            await self.give(episode)


class AwaitsBeforeTheRelease(ToyBreaker):
    """A cancelled probe is cancelled again at the await, and its permit is lost."""

    async def give(self, episode: Episode | None) -> None:
        await anyio.lowlevel.checkpoint()
        await super().give(episode)


class ForgetsTheGeneration(ToyBreaker):
    """A call from before the opening closes a half-open breaker, or opens it again."""

    def counts(self, generation: int) -> bool:  # noqa: ARG002
        return True


class AwaitsBeforeTheTake(ToyBreaker):
    """The episode can end between reading the state and taking the permit."""

    async def take(self) -> Episode | None:
        if self.state == "open" and self.now() >= self.reopen_at:
            await anyio.lowlevel.checkpoint()
            self.episode = Episode()
            self.go("half_open")
        return await super().take()


class ReleasesIntoTheNewEpisode(ToyBreaker):
    """A permit of an earlier episode is given back to the current one."""

    async def give(self, episode: Episode | None) -> None:
        if episode is not None and self.episode.permits.value < MAX_PROBES:
            self.episode.permits.release()


class KeepsThePermitOfACancelledCall(ToyBreaker):
    """Gives the permit back only after a result or an Exception."""

    async def call(self, function: Callable[..., Awaitable[T]], **options: bool) -> T:
        episode = await self.take()
        generation = self.generation
        try:
            result = await function(**options)
        except Exception:
            self.settle(generation, failed=True)
            await self.give(episode)
            raise
        self.settle(generation, failed=False)
        await self.give(episode)
        return result
