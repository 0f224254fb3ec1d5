"""A clock that a test moves itself."""

from __future__ import annotations

from recloser.lowlevel import checks


class ManualClock:
    """A clock that stands still until a test moves it.

    Pass it to a breaker as its ``clock``. Calling it returns the time.

    >>> clock = ManualClock()
    >>> clock.advance(60)
    >>> clock()
    60.0

    Args:
        start: The time at the start, in seconds; any finite number.

    Raises:
        TypeError: ``start`` is no number.
        ValueError: ``start`` is NaN or infinite.
    """

    __slots__ = ("_now",)

    def __init__(self, start: float = 0.0) -> None:
        self._now = checks.instant("start", start)

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self._now

    def __repr__(self) -> str:
        return f"ManualClock({self._now!r})"

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        Args:
            seconds: By how much (finite, >= 0).

        Raises:
            TypeError: ``seconds`` is no number.
            ValueError: ``seconds`` is NaN, infinite or negative; the clock does not move.
        """
        step = checks.instant("seconds", seconds)
        if step < 0:
            raise ValueError(f"seconds must be >= 0, not {seconds!r}; set() can move a clock back")
        self._now += step

    def set(self, seconds: float) -> None:
        """Set the clock, possibly to an earlier time, as a clock that jumps.

        Args:
            seconds: The new time; any finite number.

        Raises:
            TypeError: ``seconds`` is no number.
            ValueError: ``seconds`` is NaN or infinite; the clock does not move.
        """
        self._now = checks.instant("seconds", seconds)
