"""The memory of a fallback chain: it stores good answers and serves them again while no better answer is available.

* The age of an answer counts from the start of the call that got it, not from its arrival: a slow dependency may have
  read the data at the start (RFC 9111, 4.2.3, does the same). An answer is therefore never older than its reported age,
  and it is never served once its age reaches `ttl_seconds`.
* If several calls with one key end in any order, the answer of the call that started last is kept. If they started at
  the same reading of the clock, the answer of the call that ended last is kept.
* The memory never interferes with a call. If a key function, a clock or the `__eq__` of a key raises, the error is
  logged, the call is not remembered, and the caller gets what the links return. There is one exception: arguments that
  the default key can't hash are refused before any link runs. Such a bug has to show on the first call, not during an
  outage.
"""

from __future__ import annotations

import logging
import math
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from recloser._breaker.clock import checked_clock
from recloser._breaker.log import LogLimit
from recloser._core import checks
from recloser._core.slots import check_synchronous, checked
from recloser.errors import MisuseError, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

UNKNOWN: Final = object()
"""The key of a call that can't be remembered."""
NOTHING: Final = (None, -math.inf)
"""Stands for a missing answer: its age is infinite."""


class Memo(NamedTuple):
    """How one call is remembered.

    Attributes:
        key: The key of the call.
        started: When the call started, in monotonic seconds.
    """

    key: Hashable
    started: float


class SteadyClock:
    """A clock that never goes back behind its own last reading: the cache keeps its entries in the order of time."""

    __slots__ = ("_clock", "_latest")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._latest = -math.inf

    def __call__(self) -> float:
        """Read the clock.

        Raises:
            ValueError: The reading is not a finite number.
        """
        reading = checked("clock", self._clock())
        if self._latest <= reading < math.inf:
            self._latest = reading
        elif not math.isfinite(reading):
            raise ValueError(f"clock must return a finite number of seconds, not {reading!r}")
        return self._latest


class Memory:
    """The answers that a `LastKnownGood` stores.

    Args:
        name: The name of the source, for errors and logs.
        ttl_seconds: The age at which an answer is no longer served.
        max_entries: How many answers are stored.
        key: Makes the key of a call from its arguments; None to use all arguments.
        clock: Monotonic seconds.

    Raises:
        ImportError: cachetools is not installed.
    """

    __slots__ = ("_all_arguments", "_clock", "_key", "_limit", "_lock", "answers", "max_entries", "name", "ttl_seconds")

    def __init__(
        self,
        name: str,
        ttl_seconds: float,
        max_entries: int,
        key: Callable[..., Hashable] | None,
        clock: Callable[[], float],
    ) -> None:
        try:
            from cachetools import TTLCache  # noqa: PLC0415 - an extra: needed only where answers are remembered
            from cachetools.keys import typedkey  # noqa: PLC0415 - as above
        except ModuleNotFoundError as error:
            message = "LastKnownGood needs cachetools: pip install 'recloser[cache]'"
            raise ImportError(message, name="cachetools") from error
        self.name: str = name
        self.ttl_seconds: float = ttl_seconds
        self.max_entries: int = max_entries
        self._key = key
        self._clock = SteadyClock(clock)
        self._limit = LogLimit()
        self._lock = RLock()  # keys are compared by user code, which may use the memory itself
        self._all_arguments: Callable[..., Hashable] = typedkey
        self.answers: TTLCache[Hashable, tuple[Any, float], float] = TTLCache(max_entries, ttl_seconds, self._clock)

    def memo(self, space: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Memo:
        """Return the memo of a call.

        Args:
            space: Keys of different spaces never collide.
            args: The call's arguments.
            kwargs: The call's arguments.

        Raises:
            MisuseError: The arguments are not hashable, and there is no key function.
        """
        try:
            if self._key is None:
                key = (space, self._hashable(args, kwargs))
            else:
                key = (space, checked("key", self._key(*args, **kwargs)))
                hash(key)
            return Memo(key, self._clock())
        except MisuseError:
            raise
        except Exception as fault:  # noqa: BLE001 - a key function or a clock can raise anything
            self._limit.log(
                logging.ERROR, "Key or clock of %r raised; the call is not remembered", self.name, fault=fault
            )
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

    def remember(self, memo: Memo, value: object) -> None:
        """Store an answer, unless it has expired already or there is one from a call that started later."""
        if memo.key is UNKNOWN:
            return
        try:
            with self._lock:
                _, started = self.answers.get(memo.key, NOTHING)
                if started <= memo.started and self._clock() - memo.started < self.ttl_seconds:
                    self.answers[memo.key] = (value, memo.started)
        except Exception as fault:  # noqa: BLE001 - a clock or an __eq__ of a key can raise anything
            self._limit.log(logging.ERROR, "%r could not remember an answer", self.name, fault=fault)

    def count(self) -> int:
        """Return how many answers are stored."""
        with self._lock:
            return len(self.answers)

    def clear(self) -> None:
        """Forget all answers."""
        with self._lock:
            self.answers.clear()

    def recall(self, memo: Memo) -> tuple[Any, float]:
        """Return the stored answer to a call, and its age in seconds.

        Raises:
            NoAnswer: There is none, or it has expired.
        """
        if memo.key is UNKNOWN:
            raise NoAnswer(f"{self.name} has no key for this call")
        try:
            with self._lock:
                value, started = self.answers.get(memo.key, NOTHING)
                age = self._clock() - started
        except Exception as fault:  # noqa: BLE001 - a clock or an __eq__ of a key can raise anything
            self._limit.log(logging.ERROR, "%r could not recall an answer", self.name, fault=fault)
            value, age = NOTHING[0], math.inf
        if age >= self.ttl_seconds:
            raise NoAnswer(f"{self.name} knows no answer younger than {self.ttl_seconds:g} s")
        return value, age


class LastKnownGood:
    """A link that remembers the answers of the links before it in its chain, and serves them when those fail.

    Needs `pip install 'recloser[cache]'`. It does not remember values of a `Constant` or answers that came from a
    memory. Answers are stored by reference: if a caller modifies one, the next caller gets the modified answer. Several
    chains can share an instance. They share its size limit, but not its answers. It can be used in any number of event
    loops and threads.

    Args:
        ttl_seconds: The age at which an answer is no longer served (finite, > 0). The age counts from the start of the
            call that got the answer.
        max_entries: How many answers are kept, >= 1; the least recently used one is dropped first.
        key: Makes a hashable key from the arguments of a call; calls with the same key share an answer. By default, all
            arguments and their types make up the key. They must be hashable, and stay alive as long as their answer;
            for a decorated method, that includes `self`. If a key function raises, the error is logged and the call is
            not remembered.
        clock: Returns monotonic seconds; None means `time.monotonic`. While it raises, nothing is remembered or served.
        name: The name of the source in answers, logs and counts.

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
        clock: Callable[[], float] | None = None,
        name: str = "last_known_good",
    ) -> None:
        ttl_seconds = checks.seconds("ttl_seconds", ttl_seconds)
        max_entries = checks.count("max_entries", max_entries)
        check_synchronous("key", key, "function of a call's arguments or None")
        if key is not None and not callable(key):
            raise TypeError(f"key must be a synchronous function of a call's arguments or None, not {key!r}")
        clock = checked_clock(clock)
        if not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        self.name = name
        self.memory: Memory = Memory(name, ttl_seconds, max_entries, key, clock)

    @property
    def ttl_seconds(self) -> float:
        """The age at which an answer is no longer served."""
        return self.memory.ttl_seconds

    @property
    def max_entries(self) -> int:
        """How many answers are kept."""
        return self.memory.max_entries

    def __len__(self) -> int:
        """Return the number of answers that are kept now."""
        return self.memory.count()

    def clear(self) -> None:
        """Forget all answers."""
        self.memory.clear()

    def __repr__(self) -> str:
        """Name the limits."""
        return f"LastKnownGood(ttl_seconds={self.ttl_seconds!r}, max_entries={self.max_entries!r})"
