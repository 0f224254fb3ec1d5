"""The latest updates, encoded, in bounded memory: what all clients read, each at its own pace."""

from collections import deque
from dataclasses import dataclass

MOST_UPDATES = 100
MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Update:
    """An update as it goes to clients; the numbers of updates follow one another."""

    seq: int
    message: bytes


class UpdateRing:
    """The updates since the oldest that is kept; `seq` is the number of the latest there was."""

    def __init__(self) -> None:
        self.seq = 0
        self._updates: deque[Update] = deque()
        self._bytes = 0

    def append(self, update: Update) -> None:
        """Add an update, whose number is the next one; the oldest go, but never this one."""
        self.seq = update.seq
        self._updates.append(update)
        self._bytes += len(update.message)
        while len(self._updates) > 1 and (len(self._updates) > MOST_UPDATES or self._bytes > MOST_BYTES):
            self._bytes -= len(self._updates.popleft().message)

    def restart(self) -> None:
        """Forget all updates, and count one that nobody can be told: whoever knows an earlier one has missed it."""
        self.seq += 1
        self._updates.clear()
        self._bytes = 0

    def has_all_after(self, seq: int) -> bool:
        """Return whether all updates after this one are here."""
        return self.seq - len(self._updates) <= seq <= self.seq

    def after(self, seq: int) -> Update | None:
        """Return the update after this one, which is here if it exists; None if there is none yet."""
        missing = self.seq - seq
        return self._updates[-missing] if missing else None
