"""The memory of a fallback chain: answers that were good, served again while nothing better can be had.

* The age of an answer counts from the start of the call that brought it, not from its arrival: what a slow dependency
  read may be that old (RFC 9111, 4.2.3, does the same). An answer is thus never older than it is said to be, and one
  whose age has reached `ttl_seconds` is never served.
* Of several calls with one key that end in any order, the answer of the one that started last is kept; of those that
  started at the same reading of the clock, the answer of the one that ended last.
* The memory is beside the call, never in its way: what a key function, a clock or an `__eq__` of a key raises is
  logged, the call is not remembered, and the caller gets what the links say. Only arguments that the default key can't
  hash are refused, before any link runs: a mistake in the program must show on its first call, not in the outage.
"""

from __future__ import annotations

import inspect
import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from recloser._breaker.dispatch import log
from recloser._breaker.functions import is_kind
from recloser._core import checks
from recloser.errors import MisuseError, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

UNKNOWN: Final = object()
"""The key of a call that can't be remembered."""
NOTHING: Final = (None, -math.inf)
"""What is known of a call that is not remembered: an answer of infinite age."""


class Memo(NamedTuple):
    """What one call is remembered by: its key, and when it started."""

    key: Hashable
    started: float


class SteadyClock:
    """A clock that is never behind its own last reading; the cache keeps its entries in the order of their instants."""

    __slots__ = ("_clock", "_latest")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._latest = -math.inf

    def __call__(self) -> float:
        """Read the clock.

        Raises:
            ValueError: The reading is no finite number.
        """
        reading = self._clock()
        if self._latest <= reading < math.inf:
            self._latest = reading
        elif not math.isfinite(reading):
            raise ValueError(f"clock must return a finite number of seconds, not {reading!r}")
        return self._latest


class LastKnownGood:
    """A link that remembers the answers of the links before it in its chain, and serves them when those fail.

    Needs `pip install 'recloser[cache]'`. Answers of a `Constant`, and remembered ones, are not remembered anew. They
    are kept by reference: an answer that a caller changes has changed for the next caller too. The same instance may
    stand in several chains; they share its room, not its answers. Use it in one event loop at a time.

    Args:
        ttl_seconds: An answer as old as that is served no more (finite, > 0). Its age counts from the start of the call
            that brought it.
        max_entries: How many answers are kept, >= 1; the least recently used goes first.
        key: Makes a hashable key from the arguments of a call; calls with the same key have the same answer. By default
            all arguments and their types, so that they must be hashable, and are kept alive as long as their answer: so
            is `self` where a method is decorated. A key function that raises is logged; that call is not remembered.
        clock: Monotonic seconds. While it raises, nothing is remembered and nothing served.
        name: Name of the source in answers, logs and counts.

    Raises:
        ImportError: cachetools is not installed.
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        ttl_seconds: float,
        max_entries: int,
        *,
        key: Callable[..., Hashable] | None = None,
        clock: Callable[[], float] = time.monotonic,
        name: str = "last_known_good",
    ) -> None:
        self._ttl_seconds = checks.seconds("ttl_seconds", ttl_seconds)
        self._max_entries = checks.count("max_entries", max_entries)
        if key is not None and (not callable(key) or is_kind(inspect.iscoroutinefunction, key)):
            raise TypeError(f"key must be a synchronous function of a call's arguments or None, not {key!r}")
        if not callable(clock):
            raise TypeError(f"clock must be a function that returns monotonic seconds, not {clock!r}")
        if not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        try:
            from cachetools import TTLCache  # noqa: PLC0415 - an extra: needed only where answers are remembered
            from cachetools.keys import typedkey  # noqa: PLC0415 - as above
        except ModuleNotFoundError as error:
            message = "LastKnownGood needs cachetools: pip install 'recloser[cache]'"
            raise ImportError(message, name="cachetools") from error
        self.name = name
        self._clock = SteadyClock(clock)
        self._key = key
        self._all_arguments: Callable[..., Hashable] = typedkey
        self._cache: TTLCache[Hashable, tuple[Any, float], float] = TTLCache(
            self._max_entries, self._ttl_seconds, self._clock
        )

    @property
    def ttl_seconds(self) -> float:
        """The age at which an answer is served no more."""
        return self._ttl_seconds

    @property
    def max_entries(self) -> int:
        """How many answers are kept."""
        return self._max_entries

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._cache)

    def clear(self) -> None:
        """Forget all answers."""
        self._cache.clear()

    def __repr__(self) -> str:
        """Name the bounds."""
        return f"LastKnownGood(ttl_seconds={self._ttl_seconds!r}, max_entries={self._max_entries!r})"

    def _memo(self, space: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Memo:
        """Return what a call is remembered by.

        Args:
            space: Keys of different spaces never meet.
            args: The call's arguments.
            kwargs: The call's arguments.

        Raises:
            MisuseError: The arguments are not hashable, and there is no key function.
        """
        try:
            if self._key is None:
                key = (space, self._hashable(args, kwargs))
            else:
                key = (space, self._key(*args, **kwargs))
                hash(key)
            return Memo(key, self._clock())
        except MisuseError:
            raise
        except Exception:  # noqa: BLE001 - whatever a key function or a clock raises
            log(logging.ERROR, "Key or clock of %r raised; the call is not remembered", self.name, exc_info=True)
            return Memo(UNKNOWN, math.inf)

    def _hashable(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        key = self._all_arguments(*args, **kwargs)
        try:
            hash(key)
        except Exception as error:
            raise MisuseError(
                f"{self.name} can't remember a call by its arguments ({type(error).__name__}: {error}); "
                "give LastKnownGood key=..., a function that makes a hashable key from them"
            ) from error
        return key

    def _remember(self, memo: Memo, value: object) -> None:
        """Keep an answer, unless that of a later call is there or it is too old already."""
        if memo.key is UNKNOWN:
            return
        try:
            _, started = self._cache.get(memo.key, NOTHING)
            if started <= memo.started and self._clock() - memo.started < self._ttl_seconds:
                self._cache[memo.key] = (value, memo.started)
        except Exception:  # noqa: BLE001 - whatever a clock or an __eq__ of a key raises
            log(logging.ERROR, "%r could not remember an answer", self.name, exc_info=True)

    def _recall(self, memo: Memo) -> tuple[Any, float]:
        """Return the answer to a call, and its age in seconds.

        Raises:
            NoAnswer: None is known, or it has expired.
        """
        if memo.key is UNKNOWN:
            raise NoAnswer(f"{self.name} has no key for this call")
        try:
            value, started = self._cache.get(memo.key, NOTHING)
            age = self._clock() - started
        except Exception:  # noqa: BLE001 - whatever a clock or an __eq__ of a key raises
            log(logging.ERROR, "%r could not recall an answer", self.name, exc_info=True)
            value, age = NOTHING[0], math.inf
        if age >= self._ttl_seconds:
            raise NoAnswer(f"{self.name} knows no answer younger than {self._ttl_seconds:g} s")
        return value, age
