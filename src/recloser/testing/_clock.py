"""A clock that a test moves by hand."""

from __future__ import annotations

from recloser.lowlevel import checks


class ManualClock:
    """A monotonic clock that stands still until a test moves it.

    Hand it to a breaker as its ``clock``; calling it reads the time.

    >>> clock = ManualClock()
    >>> clock.advance(60)
    >>> clock()
    60.0

    Args:
        start: The first reading, in seconds; any finite number.

    Raises:
        TypeError: If ``start`` is no number.
        ValueError: If ``start`` is NaN or infinite.
    """

    __slots__ = ("_now",)

    def __init__(self, start: float = 0.0) -> None:
        self._now = checks.instant("start", start)

    def __call__(self) -> float:
        """Read the clock, in seconds."""
        return self._now

    def __repr__(self) -> str:
        return f"ManualClock({self._now!r})"

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        Args:
            seconds: How far; finite and not negative.

        Raises:
            TypeError: If ``seconds`` is no number.
            ValueError: If ``seconds`` is NaN, infinite or negative; the clock has not moved then.
        """
        step = checks.instant("seconds", seconds)
        if step < 0:
            raise ValueError(f"seconds must be >= 0, not {seconds!r}; set() can move a clock back")
        self._now += step

    def set(self, seconds: float) -> None:
        """Put the clock to a reading, which may be an earlier one: clocks can jump.

        Args:
            seconds: The new reading; any finite number.

        Raises:
            TypeError: If ``seconds`` is no number.
            ValueError: If ``seconds`` is NaN or infinite; the clock has not moved then.
        """
        self._now = checks.instant("seconds", seconds)
