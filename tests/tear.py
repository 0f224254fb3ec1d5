"""Exceptions from outside between any two lines of the library: Ctrl-C, and what other threads raise in this one."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import recloser
from recloser._breaker.steps import STEP

LIBRARY = str(Path(recloser.__file__).parent)
TESTING = str(Path(LIBRARY, "testing"))


class Tear:
    """Raises KeyboardInterrupt before the nth line of the library that is run."""

    def __init__(self, line: int) -> None:
        self.left = line
        self.where: str | None = None

    def on_call(self, frame: FrameType, event: str, _: object) -> object:
        name = frame.f_code.co_filename
        assert event == "call"
        return self.on_line if name.startswith(LIBRARY) and not name.startswith(TESTING) else None

    def on_line(self, frame: FrameType, event: str, _: object) -> object:
        if event == "line" and self.where is None:
            self.left -= 1
            if self.left == 0:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self.on_line


@contextmanager
def torn_at(line: int) -> Iterator[Tear]:
    """Runs the block until the nth line of the library; suppresses the KeyboardInterrupt that is raised there."""
    tear, before = Tear(line), sys.gettrace()
    sys.settrace(tear.on_call)
    try:
        with suppress(KeyboardInterrupt):
            yield tear
    finally:
        sys.settrace(before)
        while STEP._is_owned():  # noqa: SLF001 - a trace function can raise between a block and its exit, a signal can't
            STEP.release()


@contextmanager
def small_heap() -> Iterator[None]:
    """Lets collections in the block visit only what it creates: after thousands of tests, each would take a second."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
