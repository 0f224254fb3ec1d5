"""The data of an engine: hashes of strings under keys, each with an instant at which it expires."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field


@dataclass
class Keyspace:
    """The data of one in-memory server.

    Args:
        hashes: The hashes by key. Another program may have left a string in place of a hash.
        deadlines_us: When keys expire, by the server's clock. Keys that never expire are missing.
    """

    hashes: dict[str, dict[str, str] | str] = field(default_factory=dict)
    deadlines_us: dict[str, int] = field(default_factory=dict)

    def read(self, key: str) -> dict[str, str] | str:
        """Return the value of a key, an empty hash if there is none."""
        return self.hashes.get(key, {})

    def write(self, key: str, fields: dict[str, str]) -> None:
        """Set fields of a hash."""
        kept = self.read(key)
        self.hashes[key] = {**(kept if isinstance(kept, dict) else {}), **fields}

    def expire_at(self, key: str, deadline_us: int | None) -> None:
        """Set when a key expires; None for never."""
        if deadline_us is None:
            self.deadlines_us.pop(key, None)
        else:
            self.deadlines_us[key] = deadline_us

    def delete(self, key: str) -> None:
        """Delete a key, if it exists."""
        self.hashes.pop(key, None)
        self.deadlines_us.pop(key, None)

    def sweep(self, now_us: int) -> None:
        """Delete the keys that have expired."""
        for key in [key for key, deadline in self.deadlines_us.items() if deadline <= now_us]:
            self.delete(key)

    def copy(self) -> Keyspace:
        """Return a copy that shares nothing with this one."""
        return copy.deepcopy(self)


def milliseconds_up(microseconds: float) -> int:
    """Return a time to live in whole milliseconds, as engines take it."""
    return math.ceil(microseconds / 1_000)
