"""What an engine keeps: hashes of strings under keys, each with an instant at which it vanishes."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field


@dataclass
class Keyspace:
    """The data of one in-memory server.

    Args:
        hashes: The hashes by key. A string in place of a hash is what another program may have left there.
        deadlines_us: When keys vanish, by the server's clock; keys without an end are not in it.
    """

    hashes: dict[str, dict[str, str] | str] = field(default_factory=dict)
    deadlines_us: dict[str, int] = field(default_factory=dict)

    def read(self, key: str) -> dict[str, str] | str:
        """Return what is under a key, an empty hash if there is nothing."""
        return self.hashes.get(key, {})

    def write(self, key: str, fields: dict[str, str]) -> None:
        """Set fields of a hash."""
        kept = self.read(key)
        self.hashes[key] = {**(kept if isinstance(kept, dict) else {}), **fields}

    def expire_at(self, key: str, deadline_us: int | None) -> None:
        """Set when a key vanishes; None for never."""
        if deadline_us is None:
            self.deadlines_us.pop(key, None)
        else:
            self.deadlines_us[key] = deadline_us

    def delete(self, key: str) -> None:
        """Forget a key, if it is there."""
        self.hashes.pop(key, None)
        self.deadlines_us.pop(key, None)

    def sweep(self, now_us: int) -> None:
        """Forget the keys whose time is over."""
        for key in [key for key, deadline in self.deadlines_us.items() if deadline <= now_us]:
            self.delete(key)

    def copy(self) -> Keyspace:
        """Return a copy that shares nothing."""
        return copy.deepcopy(self)


def milliseconds_up(microseconds: float) -> int:
    """Return a time to live as engines take it, in whole milliseconds."""
    return math.ceil(microseconds / 1_000)
