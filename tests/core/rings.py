"""The two kinds of window as lists that are counted anew each time."""

from fractions import Fraction

from recloser._core.windows import WindowTotals


class CountList:
    """The latest calls; True stands for a hit."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.calls: list[bool] = []

    def add(self, *, hit: bool) -> None:
        self.calls = [*self.calls, hit][-self.size :]

    def totals(self) -> WindowTotals:
        return WindowTotals(len(self.calls), self.calls.count(True))

    def resized(self, size: int) -> "CountList":
        other = CountList(size)
        other.calls = self.calls[-size:]
        return other


def bucket_of(now: float, width: float) -> int:
    """Returns the last bucket that begins at `now` or before; bucket i begins at the float i * width."""
    near = int(Fraction(now) / Fraction(width))
    return max(bucket for bucket in range(near - 2, near + 3) if bucket * width <= now)


class TimeList:
    """All calls with the buckets that they ended in; time never runs backwards in it."""

    def __init__(self, width: float, buckets: int) -> None:
        self.width = width
        self.buckets = buckets
        self.current: int | None = None
        self.calls: list[tuple[int, bool]] = []

    def add(self, now: float, *, hit: bool) -> None:
        self.current = self.bucket(now)
        self.calls.append((self.current, hit))

    def bucket(self, now: float) -> int:
        bucket = bucket_of(now, self.width)
        return bucket if self.current is None else max(bucket, self.current)

    def totals(self, now: float) -> WindowTotals:
        oldest = self.bucket(now) - self.buckets + 1
        held = [hit for bucket, hit in self.calls if bucket >= oldest]
        return WindowTotals(len(held), held.count(True))

    def rescaled(self, now: float, buckets: int) -> "TimeList":
        """Returns a list of as many buckets of the same width that remembers what this one holds."""
        other = TimeList(self.width, buckets)
        if self.current is not None:
            other.current = self.bucket(now)
            other.calls = [call for call in self.calls if call[0] > other.current - self.buckets]
        return other
