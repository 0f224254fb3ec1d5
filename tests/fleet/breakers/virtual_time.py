"""An asyncio event loop on virtual time: when nothing is ready, time jumps to the next timer."""

import asyncio
import selectors

LONGEST_TEST_SECONDS = 100_000.0
"""A task that sleeps for ever makes time jump from day to day: then nothing can happen any more."""


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout is not None:
            self.now += timeout
        if (not events and timeout is None) or self.now > LONGEST_TEST_SECONDS:
            raise RuntimeError("nothing can happen any more")
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop for `asyncio.Runner(loop_factory=VirtualLoop)`."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now
