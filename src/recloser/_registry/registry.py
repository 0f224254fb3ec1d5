"""The registry: what users hold in their hands."""

from __future__ import annotations

import math
import time
import warnings
from datetime import UTC, datetime
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload
from weakref import WeakSet

import anyio.lowlevel

from recloser._breaker.breaker import CircuitBreaker
from recloser._breaker.clock import MONOTONIC, CheckedClock
from recloser._breaker.dispatch import EventStream, kinds_of, listen
from recloser._breaker.engine import SYSTEM_RANDOM, Engine
from recloser._core import checks
from recloser._core.events import Event
from recloser._registry.config import read_configuration
from recloser._registry.definitions import Definition, Definitions, conflict
from recloser._registry.eviction import EvictionQueue
from recloser._registry.fan_in import FanIn
from recloser._registry.keyed import ANY_KEY, KeyedBreakers, group_of
from recloser._registry.lint import Finding, lint
from recloser._registry.origin import told
from recloser._registry.reconfigure import Defined, definition_of
from recloser._registry.tables import join
from recloser.errors import ConfigurationWarning

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
    from typing import Self, Unpack

    from recloser._breaker.dispatch import Kinds
    from recloser._core.settings import Settings
    from recloser._registry.config import Configuration
    from recloser._registry.definitions import Options

MOST_NAMED = 10
"""How many names an error lists."""

E = TypeVar("E", bound=Event)
F = TypeVar("F", bound="Callable[..., Coroutine[Any, Any, Any] | AsyncIterator[Any]]")


class Follower(Protocol):
    """What is told of every new breaker, in the step that makes it."""

    def enter(self, breaker: CircuitBreaker) -> None:
        """Take note of a breaker; perhaps not for the first time."""
        ...


class SharingFleet(Protocol):
    """What lets breakers share their state with those of other processes, as a registry sees it."""

    def join(self, breaker: CircuitBreaker) -> None:
        """Let a breaker share its state; raise ValueError if it can't."""
        ...

    def status(self) -> dict[str, Any]:
        """Return what this process knows of the fleet."""
        ...

    def check(self, settings: Settings) -> None:
        """Refuse settings that can't be shared, by a ValueError."""
        ...


class BreakerRegistry:
    """Circuit breakers by name and per key, in a bounded number, with one set of defaults.

    Getting a breaker takes the same time however many there are. When `max_breakers` is reached, a new one evicts
    another: first closed breakers with no failure in their window, then closed ones, then open ones by the earliest end
    of their reset timeout, then half-open ones, among equals the one that was got longest ago. Forced and disabled ones
    stay, and those whose probe is running. A breaker's state counts as it is when an eviction gets to it. An
    evicted breaker is only forgotten when nobody holds it any more, a running call too; until then its name yields the
    same object, and it is listed like all others.

    Making breakers belongs to the thread of the event loop that uses them, or to import time; getting, listing and
    `health()` are safe from any thread.

    Args:
        max_breakers: How many breakers the registry keeps, >= 1; those that somebody else holds do not count. Only if
            all are forced, disabled or making a probe are more kept, which is logged once: no call is refused.
        clock: Monotonic seconds, for the breakers that the registry makes.
        fleet: A `recloser.fleet.RedisFleet`, through which all breakers of the registry share their state with those of
            the same names in other processes. Then `max_probes` is 1, and names have at most 200 bytes in UTF-8.
        **defaults: Settings of `CircuitBreaker` for the breakers that the registry makes.

    Raises:
        TypeError: An argument is unknown, or of the wrong type.
        ValueError: An argument is out of its range, or can't be kept by the fleet.
    """

    def __init__(
        self,
        *,
        max_breakers: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
        fleet: SharingFleet | None = None,
        **defaults: Unpack[Options],
    ) -> None:
        if not callable(clock):
            raise TypeError(f"clock must be a function that returns monotonic seconds, not {clock!r}")
        self.queue = EvictionQueue(checks.count("max_breakers", max_breakers))
        self._recent = self.queue.recent
        self._clock = MONOTONIC if clock is time.monotonic else CheckedClock(clock)
        if fleet is not None and not (
            callable(getattr(fleet, "join", None)) and callable(getattr(fleet, "check", None))
        ):
            raise TypeError(f"fleet must be a fleet such as recloser.fleet.RedisFleet(url), not {fleet!r}")
        self._fleet = fleet
        self._joining = RLock()  # held while a breaker joins, so that of two of a name one does
        self.defined = Defined(Definitions(defaults, None if fleet is None else fleet.check), self.queue)
        self.fan_in = FanIn(self.queue)
        self.followers: WeakSet[Follower] = WeakSet()

    @classmethod
    def from_config(
        cls,
        source: Mapping[str, Any] | str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        fleet: SharingFleet | None = None,
    ) -> Self:
        """Return a registry that is configured by a mapping or a TOML file.

        The keys are `max_breakers`, and the tables `defaults`, `breakers.<name>` and `per_key.<name>`, whose keys are
        the settings of `CircuitBreaker`. The breakers are made at once; evicted, they come back as configured. Settings
        that the field warns against are warned of by their path in the configuration, see `lint()`. Exceptions and
        predicates are named by dotted path and imported, so a configuration is to be trusted like code.

        Args:
            source: A mapping, or the path of a TOML file.
            clock: Monotonic seconds.
            fleet: As of the class.

        Raises:
            OSError: The file can't be read.
            TypeError: A value is of the wrong type; the message names its path in the configuration.
            ValueError: A key is unknown, a value out of its range, or the file no TOML.
        """
        found = read_configuration(source)
        registry = cls(clock=clock, fleet=fleet, max_breakers=found.max_breakers, **found.defaults)
        registry.defined.configure(found)
        for name in found.breakers:
            registry.breaker(name)
        for message in registry._warnings(found):
            warnings.warn(message, ConfigurationWarning, stacklevel=2)
        return registry

    # Getting

    def breaker(self, name: str, /, **overrides: Unpack[Options]) -> CircuitBreaker:
        """Return the breaker of a name, made if there is none.

        Args:
            name: Its name.
            **overrides: Settings in place of the defaults. For a breaker that exists, is configured, or belongs to a
                per-key group, they must say what it was first defined with, or what `reconfigure()` has made of it.
                Without any, nothing is compared.

        Raises:
            TypeError: An argument is unknown, or of the wrong type.
            ValueError: An argument is out of its range, or contradicts the definition; the message names both.
        """
        if not overrides:
            try:
                self._recent.move_to_end(name)
                return self._recent[name]
            except (KeyError, TypeError):
                pass
        if not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        wanted = self.defined.definitions.of(overrides)
        breaker = self._obtain(name, wanted)
        if overrides and breaker.engine.definition is not wanted:
            _refuse(conflict(name, definition_of(breaker), breaker.engine.machine.settings, overrides))
        return breaker

    def add(self, breaker: CircuitBreaker, /) -> CircuitBreaker:
        """Put a breaker that was made elsewhere under the registry's roof, by its name, and return it.

        It brings all its settings along: other defaults do not change it. Adding it again changes nothing.

        Raises:
            TypeError: It is no breaker.
            ValueError: Its name is taken by another one, or it can't join the registry's fleet.
        """
        if not isinstance(breaker, CircuitBreaker):
            raise TypeError(f"breaker must be a CircuitBreaker, not {breaker!r}")
        name = breaker.name
        is_taken = name in self.defined.configured and self.get(name) is not breaker
        if is_taken or self._put(breaker) is not breaker:
            raise ValueError(f"the name {name!r} is taken by another circuit breaker of this registry")
        self._introduce(breaker)
        return breaker

    @property
    def fleet(self) -> SharingFleet | None:
        """The fleet that its breakers share their state with; None if it has none."""
        return self._fleet

    def get(self, name: str, /) -> CircuitBreaker | None:
        """Return the breaker of a name, or None; makes none, and does not count as a use."""
        return self.queue.find(name)

    def per_key(self, name: str, /, *, key: Callable[..., str], **overrides: Unpack[Options]) -> Callable[[F], F]:
        """Decorate a coroutine function or an async generator function with one breaker per key.

        The breakers are named `name[key]`. A key that is longer than 100 characters, or not printable, appears there as
        an excerpt and a digest, different for different keys. The breakers of one name share their definition: a second
        decorator of the same name uses the same breakers, and may not contradict the first.

        Args:
            name: Name of the group; without brackets.
            key: Synchronous function of the call's arguments that returns the key, a string; of a method's call, `self`
                is the first. What it raises reaches the caller, with a note. It should have a bounded number of
                answers that matter: `max_breakers` of them are remembered.
            **overrides: Settings in place of the defaults. A breaker of the group that `breaker()` has made already may
                not contradict them; one that was added, or is configured by its own name, keeps its settings.

        Raises:
            TypeError: An argument is of the wrong type; at a call: the key is no string.
            ValueError: An argument is out of its range, or contradicts the definition of the group or of one of its
                breakers.
        """
        ring = KeyedBreakers(name, key, partial(self._obtain_of_group, name))
        wanted = self.defined.definitions.of(overrides)
        definition = self.defined.groups.get(name, wanted)
        if overrides and name in self.defined.groups:
            _refuse(conflict(name + ANY_KEY, definition, definition.settings, overrides))
        elif overrides:
            for breaker, made in self.defined.breakers_of_group(name):
                _refuse(conflict(breaker.name, made, breaker.engine.machine.settings, overrides))
        self.defined.groups[name] = definition
        return ring.decorate

    # Changing

    async def reconfigure(self, name: str | None = None, /, **settings: Unpack[Options]) -> None:
        """Change settings of one breaker, of a per-key group, or the defaults, without losing any state or window.

        Other defaults reach all breakers that the registry made or will make, at once, except for settings that a
        breaker has of its own: by overrides, by configuration, or because it was reconfigured by itself. Other settings
        of a group reach all of its keys, those to come as well, with the same exception. A definition in code is
        compared with what it was when the breaker was made, so code that repeats it goes on working.
        All or nothing: a bad value or a cancellation changes nothing.

        Args:
            name: Of the breaker, or of the per-key group, as `web` or `web[...]`; None for the defaults.
            **settings: As in `CircuitBreaker`.

        Raises:
            TypeError: The name is no string, or a setting is unknown, or of the wrong type.
            ValueError: A setting is out of its range, or the name is that of nothing, or of a breaker and a group both.
        """
        if name is None:
            await anyio.lowlevel.checkpoint()
            self.defined.change_defaults(settings)
            return
        if not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        group = name.removesuffix(ANY_KEY)
        breaker = self.breaker(name) if name in self.defined.configured else self.get(name)
        if group not in self.defined.groups:
            if breaker is None:
                raise ValueError(f"name must be that of {self._existing()}, not {name!r}")
            async with breaker.engine.loop_lock().current():
                self.defined.change_one(breaker, settings)
            return
        if breaker is not None:
            raise ValueError(
                f"name must be that of a circuit breaker or of a per-key group, {name!r} is that of both: say "
                f"{group if name != group else group + ANY_KEY!r} for the group, or reconfigure() the breaker itself"
            )
        await anyio.lowlevel.checkpoint()
        self.defined.change_group(group, settings)

    # Listening

    @overload
    def subscribe(self, listener: Callable[[Event], object]) -> Callable[[], None]: ...
    @overload
    def subscribe(self, listener: Callable[[E], object], kinds: type[E]) -> Callable[[], None]: ...
    @overload
    def subscribe(self, listener: Callable[[Any], object], kinds: tuple[type[Event], ...]) -> Callable[[], None]: ...
    def subscribe(self, listener: Callable[[Any], object], kinds: Kinds = Event) -> Callable[[], None]:
        """Tell a function of events of every breaker, present and future; return a function that ends this.

        As `CircuitBreaker.subscribe()`: each breaker pays only for what somebody wants to be told.

        Args:
            listener: A synchronous callable.
            kinds: The events that it is told: a type or a tuple of types; all by default.

        Raises:
            TypeError: The listener is not a synchronous callable, or `kinds` are no types of events.
            ValueError: No breaker reports anything of these kinds.
        """
        return listen(self.fan_in.dispatcher, listener, kinds, self.fan_in.refresh)

    def events(self, *, max_buffer: int = 256, kinds: Kinds = Event) -> EventStream:
        """Return a stream of the events of all breakers, present and future.

        Args:
            max_buffer: Unread events that are kept, >= 1; a slow reader loses the oldest and is told so by
                `EventsDropped`, which bears the name of the breaker whose event comes next.
            kinds: Which events, as for `subscribe()`.
        """
        fan_in = self.fan_in
        return EventStream(fan_in.dispatcher, checks.count("max_buffer", max_buffer), kinds_of(kinds), fan_in.refresh)

    # Reading

    def health(self) -> dict[str, Any]:
        """Return the time and every breaker's health by name, JSON-ready.

        An open breaker is degraded, not dead: do not wire this into a readiness or liveness check, restarting a process
        does not heal what it depends on.
        """
        breakers = {breaker.name: _without_infinities(breaker.health()) for breaker in self}
        return {"timestamp": datetime.now(UTC).isoformat(), "breakers": breakers}

    def lint(self) -> list[Finding]:
        """Return the settings that are valid and known to do harm.

        These are a threshold of 1 or 2 failures, in a row or in a window, a reset timeout under 1 s or over 10 minutes,
        and a rate with `minimum_calls` under 5. What lies in the defaults is found once, as that of `defaults`, and
        what lies in the definition of a per-key group as that of `name[...]`.

        Returns:
            Each finding, a `recloser.registry.Finding`, with `breaker`, `setting`, `value`, and `message`, which says
            what happens.
        """
        general = list(lint("defaults", self.defined.definitions.default.settings))
        findings = list(general)
        of_group: dict[str | None, list[Finding]] = {}
        for name, definition in self.defined.groups.items():
            of_group[name] = _news(lint(name + ANY_KEY, definition.settings), general)
            findings += of_group[name]
        settings = {name: definition.settings for name, definition in self.defined.configured.items()}
        settings |= {breaker.name: breaker.engine.machine.settings for breaker in self}
        for name, own in settings.items():
            findings += _news(lint(name, own), [*general, *of_group.get(group_of(name), ())])
        return findings

    def __len__(self) -> int:
        """Return how many breakers there are, evicted ones that somebody holds included."""
        return len(self.queue)

    def __iter__(self) -> Iterator[CircuitBreaker]:
        """Iterate over the breakers that there are now, in no particular order."""
        return iter(self.queue)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a breaker of this name."""
        return isinstance(name, str) and self.get(name) is not None

    def __repr__(self) -> str:
        """Say how many breakers there are."""
        return f"<BreakerRegistry of {len(self)}>"

    # Inner parts

    def _warnings(self, found: Configuration) -> Iterator[str]:
        """Iterate over what the field warns against in the configuration that the registry has just been made of."""
        general = list(lint("defaults", self.defined.definitions.default.settings))
        for finding in general:
            yield told(finding, "defaults", found.tables["defaults"], found.source)
        for section, definitions in (("per_key", self.defined.groups), ("breakers", self.defined.configured)):
            for name, definition in definitions.items():
                for finding in _news(lint(name, definition.settings), general):
                    yield told(finding, join(section, name), found.tables[section][name], found.source)

    def _obtain_of_group(self, group: str, name: str) -> CircuitBreaker:
        try:
            self._recent.move_to_end(name)
            return self._recent[name]
        except KeyError:
            return self._obtain(name, self.defined.groups[group])

    def _obtain(self, name: str, definition: Definition) -> CircuitBreaker:
        """Return the breaker of a name; made as it is configured, else as its group is, else by the definition."""
        breaker = self.queue.use(name)
        if breaker is None:
            group = group_of(name)
            if group is not None:
                definition = self.defined.groups.get(group, definition)
            definition = self.defined.configured.get(name, definition)
            engine = Engine(name, definition.settings, self._clock, SYSTEM_RANDOM)
            engine.definition = definition
            breaker = self._put(CircuitBreaker.around(engine))
            self._introduce(breaker)
        return breaker

    def _put(self, breaker: CircuitBreaker) -> CircuitBreaker:
        """Put a breaker on the shelf and into the fleet, unless there is one of its name; return the one there is."""
        if self._fleet is None:
            return self.queue.put(breaker)
        with self._joining:
            if self.queue.find(breaker.name) is None:
                self._fleet.join(breaker)
            return self.queue.put(breaker)

    def _introduce(self, breaker: CircuitBreaker) -> None:
        """Let those know of a breaker who follow all of them."""
        self.fan_in.attach(breaker)
        for follower in self.followers:
            follower.enter(breaker)

    def _existing(self) -> str:
        """Return what there is, as a part of a sentence."""
        names = {*self.defined.configured, *(breaker.name for breaker in self)}
        return (
            f"a circuit breaker of this registry ({_some(names)}) or of a per-key group ({_some(self.defined.groups)})"
        )


def _some(names: Iterable[str]) -> str:
    """Return a few of the names, and how many more there are."""
    known = sorted(names)
    more = len(known) - MOST_NAMED
    return ", ".join(known[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "") or "there are none"


def _refuse(contradiction: str | None) -> None:
    if contradiction is not None:
        raise ValueError(contradiction)


def _news(found: Iterable[Finding], known: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are not known already from a definition that the breaker shares."""
    told = {(finding.setting, finding.value) for finding in known}
    return [finding for finding in found if (finding.setting, finding.value) not in told]


def _without_infinities(health: dict[str, Any]) -> dict[str, Any]:
    """Return health with None in place of what JSON can't say: a clock may have run beyond all numbers."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in health.items()
    }
