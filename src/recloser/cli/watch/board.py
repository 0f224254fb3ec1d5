"""What is known of the breakers of another process: the whole state first, then what changes.

Values that run with the server's clock are kept as the moments that they mean, in seconds since 1970 on that clock.
What it shows now is estimated from its messages, which can only be late.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recloser.cli.watch.errors import ForeignError

__all__ = ["Board", "Breaker", "Rates", "Transition", "urgency"]

_STATES = ("open", "forced_open", "half_open", "disabled", "closed")  # the most urgent one first
_VERSION = 1
_MOST_TRANSITIONS = 200
_MOST_LATENESS_SECONDS = 5.0
_RATE_SECONDS = 10.0
_CALLS = ("success_total", "failure_total", "ignored_total", "cancelled_total")


@dataclass(frozen=True, slots=True)
class Rates:
    """What happens per second."""

    calls: float
    failures: float
    rejections: float


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state; `at` is in seconds since 1970."""

    at: float
    breaker: str
    old: str
    new: str
    cause: str


@dataclass(slots=True)
class Breaker:
    """What is known of one breaker.

    Attributes:
        name: Its name.
        first_at: When it was first heard of.
        entry: What the server says of it.
        since: When its state began.
        probe_at: When a trial call may go through; None if none ever will by itself.
        growth: What its totals grew by, and when that was heard.
    """

    name: str
    first_at: float
    entry: dict[str, Any] = field(default_factory=dict[str, Any])
    since: float = 0.0
    probe_at: float | None = None
    growth: deque[tuple[float, Rates]] = field(default_factory=deque[tuple[float, Rates]])

    @property
    def state(self) -> str:
        """The state, as the server names it."""
        state: str = self.entry["state"]
        return state

    @property
    def why(self) -> str:
        """Why it is in its state: the server's words, without the name and the state, which stand beside it."""
        text = str(self.entry.get("explanation", ""))
        start = text.find(f" is {self.state.replace('_', ' ')} for ", len(self.name))
        colon = text.find(": ", start) if start >= 0 else -1
        rest = text[colon + 2 :] if colon >= 0 else text
        return rest[:1].upper() + rest[1:]

    def has(self, text: str) -> bool:
        """Return whether a text in lower case is in the name or the explanation."""
        return text in self.name.casefold() or text in str(self.entry.get("explanation", "")).casefold()

    def merge(self, changed: dict[str, Any], at: float, span: float) -> None:
        """Take over what has changed, and remember the growth within a time span before that."""
        old, self.entry = self.entry, self.entry | changed
        if not isinstance(self.entry["state"], str):
            raise TypeError(f"the state of {self.name!r} is {self.entry['state']!r}")
        if old:
            self.growth.append((at, _growth(old, self.entry)))
        self.forget_until(at - span)
        if "time_in_state_seconds" in changed:
            self.since = at - float(changed["time_in_state_seconds"] or 0)
        if "retry_after" in changed:
            wait = changed["retry_after"]
            self.probe_at = None if wait is None else at + float(wait)

    def forget_until(self, at: float) -> None:
        """Forget what happened up to a time."""
        while self.growth and self.growth[0][0] <= at:
            self.growth.popleft()


class Board:
    """All breakers, the latest transitions, and what the server says of itself.

    Args:
        clock: Seconds that never go back.

    Attributes:
        breakers: By name.
        transitions: The oldest first.
        fleet: What is told of the fleet; None if there is none.
        dropped: How many updates were missed.
        quiet_seconds: The longest time in which a server that lives says nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.breakers: dict[str, Breaker] = {}
        self.transitions: deque[Transition] = deque(maxlen=_MOST_TRANSITIONS)
        self.fleet: dict[str, Any] | None = None
        self.dropped = 0
        self.quiet_seconds = math.inf
        self._about: dict[str, Any] = {}
        self._clock = clock
        self._offset = -math.inf

    @property
    def now(self) -> float:
        """What the server's clock shows, in seconds since 1970."""
        return self._clock() + self._offset

    @property
    def counts(self) -> dict[str, int]:
        """How many breakers are in each state that is there, the most urgent one first."""
        counts = Counter(breaker.state for breaker in self.breakers.values())
        return {state: counts[state] for state in sorted(counts, key=urgency)}

    def ordered(self, text: str = "", sort: str = "state") -> list[Breaker]:
        """Return breakers in the order in which they are shown.

        Args:
            text: Only those with this in their name or their explanation, in whatever case.
            sort: By `state`, the most urgent one first, or by `name`; by `failures` or `rejections` per second, the
                most first.
        """
        wanted = text.casefold()
        chosen = [breaker for breaker in self.breakers.values() if breaker.has(wanted)]
        chosen.sort(key=lambda breaker: breaker.name)
        if sort == "state":
            chosen.sort(key=lambda breaker: urgency(breaker.state))
        elif sort in {"failures", "rejections"}:
            rates = {breaker.name: self.rates(breaker) for breaker in chosen}
            chosen.sort(key=lambda breaker: -getattr(rates[breaker.name], sort, -1.0))
        return chosen

    def replace(self, data: dict[str, Any]) -> None:
        """Start over from the whole state.

        Raises:
            ForeignError: It is something else.
        """
        with _understood():
            about = dict(data.get("dashboard") or {})
            if about.get("version", _VERSION) != _VERSION:
                raise ForeignError(f"it speaks version {about['version']!r}, and this recloser {_VERSION}: update it")
            if about.get("run") != self._about.get("run"):
                self.dropped = 0
            self._about = about
            self.quiet_seconds = float(about.get("quiet_seconds") or math.inf)
            self._offset = -math.inf
            self.breakers.clear()
            self.transitions.clear()
            self._take(data, data["breakers"])

    def update(self, data: dict[str, Any]) -> list[Transition]:
        """Take over what has changed.

        Returns:
            The transitions that are new.

        Raises:
            ForeignError: It is something else.
        """
        with _understood():
            for name in data["removed"]:
                self.breakers.pop(name, None)
            return self._take(data, data["changed"])

    def rates(self, breaker: Breaker) -> Rates | None:
        """Return what happened per second lately; None if that is not known yet."""
        span, now = self._rate_seconds, self.now
        breaker.forget_until(now - span)
        known = min(span, now - breaker.first_at)
        if known < 1:
            return None
        grown = [growth for _, growth in breaker.growth]
        return Rates(
            sum(growth.calls for growth in grown) / known,
            sum(growth.failures for growth in grown) / known,
            sum(growth.rejections for growth in grown) / known,
        )

    @property
    def _rate_seconds(self) -> float:
        """The time that rates are taken over: the server may need several rounds to read all breakers once."""
        rounds = math.ceil(len(self.breakers) / (self._about.get("breakers_per_update") or math.inf)) or 1
        return max(_RATE_SECONDS, 2.0 * rounds * (self._about.get("interval_seconds") or 1.0))

    def _take(self, data: dict[str, Any], changed: dict[str, dict[str, Any]]) -> list[Transition]:
        at = datetime.fromisoformat(data["timestamp"]).timestamp()
        offset = at - self._clock()
        if not self._offset - _MOST_LATENESS_SECONDS <= offset <= self._offset:
            self._offset = offset
        span = self._rate_seconds
        for name, entry in changed.items():
            breaker = self.breakers.setdefault(name, Breaker(name, at))
            breaker.merge(entry, at, span)
        told = [_transition(each) for each in data.get("transitions", ())]
        self.transitions.extend(told)
        self.fleet = data.get("fleet")
        self.dropped += int(data.get("dropped", 0))
        return told


def urgency(state: str) -> int:
    """Return a state's place among all, the most urgent one first; one that is not known comes last."""
    return _STATES.index(state) if state in _STATES else len(_STATES)


def _growth(old: dict[str, Any], new: dict[str, Any]) -> Rates:
    """Return what totals grew by. One that went back is of a new breaker with an old name, and counts from zero."""

    def grown(key: str) -> float:
        before, after = old.get(key, 0), new.get(key, 0)
        return float(after - before if after >= before else after)

    return Rates(sum(map(grown, _CALLS)), grown("failure_total"), grown("rejected_total"))


def _transition(told: dict[str, Any]) -> Transition:
    at = datetime.fromisoformat(told["at"]).timestamp()
    return Transition(at, *(str(told[key]) for key in ("breaker", "old", "new", "cause")))


@contextmanager
def _understood() -> Generator[None]:
    """Say what is wrong when a message is none of a dashboard.

    Yields:
        Nothing.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ForeignError(f"it sent what is no state of circuit breakers ({type(error).__name__}: {error})") from error
