"""Hands over to another thread between two lines of the library, wherever that thread would not have to wait."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import recloser
from recloser._breaker.steps import STEP

LIBRARY = str(Path(recloser.__file__).parent)
PATIENCE_SECONDS = 20.0


def in_thread(work: Callable[[], object]) -> None:
    """Runs a function in another thread until its end, and raises what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


class HandOver:
    """Runs a function in another thread before the nth line of the library that is run without the lock of steps."""

    def __init__(self, line: int, work: Callable[[], object]) -> None:
        self.left = line
        self.work = work
        self.where: str | None = None

    def on_call(self, frame: FrameType, _event: str, _: object) -> object:
        return self.on_line if frame.f_code.co_filename.startswith(LIBRARY) else None

    def on_line(self, frame: FrameType, event: str, _: object) -> object:
        if event == "line" and self.where is None and not STEP._is_owned():  # noqa: SLF001 - only to see if it waits
            self.left -= 1
            if self.left == 0:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                in_thread(self.work)
        return self.on_line


@contextmanager
def handed_over_at(line: int, work: Callable[[], object]) -> Iterator[HandOver]:
    """Runs the block, and the function in another thread at the nth line."""
    hand_over, before = HandOver(line, work), sys.gettrace()
    sys.settrace(hand_over.on_call)
    try:
        yield hand_over
    finally:
        sys.settrace(before)
