"""The latest updates, encoded, in bounded memory: all clients read them, each at its own pace."""

from collections import deque
from dataclasses import dataclass

MOST_UPDATES = 100
MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Update:
    """An update as it is sent to clients; updates have consecutive numbers."""

    seq: int
    message: bytes


class UpdateRing:
    """The latest updates; `seq` is the number of the newest one."""

    def __init__(self) -> None:
        self.seq = 0
        self._updates: deque[Update] = deque()
        self._bytes = 0

    def append(self, update: Update) -> None:
        """Add the next update; the oldest ones are dropped, but never the new one."""
        self.seq = update.seq
        self._updates.append(update)
        self._bytes += len(update.message)
        while len(self._updates) > 1 and (len(self._updates) > MOST_UPDATES or self._bytes > MOST_BYTES):
            self._bytes -= len(self._updates.popleft().message)

    def restart(self) -> None:
        """Forget all updates, and skip a number: a client that has an earlier update has missed something."""
        self.seq += 1
        self._updates.clear()
        self._bytes = 0

    def has_all_after(self, seq: int) -> bool:
        """Return whether all updates after this one are kept."""
        return self.seq - len(self._updates) <= seq <= self.seq

    def after(self, seq: int) -> Update | None:
        """Return the update after this one, which must be kept if it exists; None if there is none yet."""
        missing = self.seq - seq
        return self._updates[-missing] if missing else None
