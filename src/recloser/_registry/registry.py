"""The public class of the registry."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload
from weakref import WeakSet

from recloser._breaker.breaker import CircuitBreaker
from recloser._breaker.clock import shared_clock
from recloser._breaker.dispatch import EventStream, listen
from recloser._breaker.engine import Engine
from recloser._breaker.health import VERSION
from recloser._breaker.reading import event_loop_health
from recloser._breaker.refusals import SYSTEM_RANDOM
from recloser._breaker.steps import STEP
from recloser._core import checks
from recloser._core.events import Event
from recloser._registry.definitions import Definition, Definitions, conflict
from recloser._registry.eviction import EvictionQueue, new_breaker
from recloser._registry.fan_in import FanIn
from recloser._registry.keyed import ANY_KEY, KeyedBreakers, group_of
from recloser._registry.names import similar, some
from recloser._registry.reconfigure import Defined, definition_of
from recloser.errors import ConfigurationWarning

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
    from typing import Self, Unpack

    from recloser._breaker.dispatch import Kinds
    from recloser._breaker.health import BreakerHealth, RegistryHealth
    from recloser._core.settings import Options, Settings
    from recloser._registry.lint import Finding

E = TypeVar("E", bound=Event)
AsyncFunction = TypeVar("AsyncFunction", bound="Callable[..., Coroutine[Any, Any, Any] | AsyncIterator[Any]]")


class Follower(Protocol):
    """Notified of every new breaker, in the step that creates it."""

    def enter(self, breaker: CircuitBreaker) -> None:
        """Take note of a breaker, which may be known already."""
        ...


class SharingFleet(Protocol):
    """A fleet as a registry sees it: breakers that join it share their state with other processes."""

    def join(self, breaker: CircuitBreaker) -> None:
        """Let a breaker share its state; raise ValueError if it can't."""
        ...

    def status(self) -> dict[str, Any]:
        """Return what this process knows of the fleet."""
        ...

    def check(self, settings: Settings) -> None:
        """Raise ValueError for settings that a fleet does not support."""
        ...


class BreakerRegistry:
    """Creates and finds circuit breakers by name or per key, with shared defaults and a bound on their number.

    Looking up a breaker takes constant time. Once the registry has `max_breakers`, each new breaker evicts another one,
    in this order: closed breakers with no failure in their window, other closed ones, open ones by the earliest end of
    the reset timeout, half-open ones; among equals the least recently used. Breakers that are forced open, disabled or
    running a probe are never evicted, until the time given by hand is over. The state at the time of the eviction
    decides. An evicted breaker is forgotten once nothing refers to it, not even a running call. Until then its name
    returns the same object, and the registry lists it.

    Create breakers at import time or in the thread of the event loop that uses them. Getting and listing breakers,
    controlling them and `health()` are safe from any thread.

    Args:
        max_breakers: How many breakers the registry keeps (>= 1); an evicted breaker that is still in use does not
            count. If all are forced open, disabled or running a probe, the registry keeps more and logs that once.
        clock: Returns monotonic seconds, for the breakers that the registry creates; None means `time.monotonic`. If it
            fails, that is logged, and its last reading is used, so that a call can always create its breaker.
        fleet: A `recloser.fleet.RedisFleet`, through which the registry's breakers share their state with breakers of
            the same name in other processes. `max_probes` is then 1, and a name has at most 200 bytes in UTF-8.
        **defaults: Settings as for `CircuitBreaker`, for the breakers that the registry creates.

    Raises:
        TypeError: An argument is unknown or has the wrong type.
        ValueError: An argument is out of range, or the fleet does not support it.
    """

    def __init__(
        self,
        *,
        max_breakers: int = 10_000,
        clock: Callable[[], float] | None = None,
        fleet: SharingFleet | None = None,
        **defaults: Unpack[Options],
    ) -> None:
        self._clock = shared_clock(clock)
        self.queue: EvictionQueue = EvictionQueue(checks.count("max_breakers", max_breakers))
        """Internal: the present breakers, in the order in which they are evicted."""
        self._recent = self.queue.recent
        if fleet is not None and not (
            callable(getattr(fleet, "join", None)) and callable(getattr(fleet, "check", None))
        ):
            raise TypeError(f"fleet must be a fleet such as recloser.fleet.RedisFleet(url), not {fleet!r}")
        self._fleet = fleet
        self._joining = RLock()  # held while a breaker joins, so that only one of each name does
        self.defined: Defined = Defined(Definitions(defaults, None if fleet is None else fleet.check), self.queue)
        """Internal: how the breakers were defined."""
        self.fan_in: FanIn = FanIn(self.queue)
        """Internal: the listeners and streams of all breakers."""
        self.followers: WeakSet[Follower] = WeakSet()
        """Internal: notified of every new breaker."""

    @classmethod
    def from_config(
        cls,
        source: Mapping[str, Any] | str | os.PathLike[str],
        *,
        clock: Callable[[], float] | None = None,
        fleet: SharingFleet | None = None,
    ) -> Self:
        """Create a registry from a mapping or a TOML file.

        The keys are `max_breakers` and the tables `defaults`, `breakers.<name>` and `per_key.<name>`, which contain
        settings of `CircuitBreaker`. The breakers are created at once; after an eviction they are created again as
        configured. Settings that `lint()` reports cause a ConfigurationWarning with their path in the configuration.
        Exceptions and predicates are imported by dotted path, so only load configurations that you trust like code.

        Args:
            source: A mapping, or the path of a TOML file.
            clock: Returns monotonic seconds; None means `time.monotonic`.
            fleet: The fleet that the breakers join, as for the class.

        Raises:
            OSError: The file can't be read.
            TypeError: A value has the wrong type; the message names its path in the configuration.
            ValueError: A key is unknown, a value is out of range, or the file is not TOML.
        """
        from recloser._registry.config import read_configuration  # noqa: PLC0415 - most registries do without
        from recloser._registry.findings import warnings_of  # noqa: PLC0415 - as above

        found = read_configuration(source)
        registry = cls(clock=clock, fleet=fleet, max_breakers=found.max_breakers, **found.defaults)
        registry.defined.configure(found)
        for name in found.breakers:
            registry.breaker(name)
        for message in warnings_of(registry.defined, found):
            warnings.warn(message, ConfigurationWarning, stacklevel=2)
        return registry

    # Getting

    def breaker(self, name: str, /, **overrides: Unpack[Options]) -> CircuitBreaker:
        """Return the breaker with a name, and create it if it does not exist.

        Args:
            name: The name of the breaker.
            **overrides: Settings that replace the defaults. If the breaker exists, is configured, or belongs to a
                per-key group, they must match its first definition or its current settings. Without overrides, nothing
                is compared.

        Raises:
            TypeError: An argument is unknown or has the wrong type.
            ValueError: An argument is out of range, or contradicts the definition; the message shows both values.
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
        """Add an existing breaker to the registry, under its own name, and return it.

        The breaker keeps its settings: the registry's defaults don't apply to it. Adding it again changes nothing.

        Raises:
            TypeError: The argument is not a breaker.
            ValueError: Another breaker has this name, or the breaker can't join the registry's fleet.
        """
        if not isinstance(breaker, CircuitBreaker):
            raise TypeError(f"breaker must be a CircuitBreaker, not {breaker!r}")
        name = breaker.name
        is_taken = name in self.defined.configured and self.get(name) is not breaker
        if is_taken or self._put(breaker) is not breaker:
            raise ValueError(f"the name {name!r} is taken by another circuit breaker of this registry")
        self._announce(breaker)
        return breaker

    @property
    def fleet(self) -> SharingFleet | None:
        """The fleet through which the breakers share their state, or None."""
        return self._fleet

    def get(self, name: str, /) -> CircuitBreaker | None:
        """Return the breaker with a name, or None. This creates no breaker, and does not count as a use of one."""
        return self.queue.find(name)

    def per_key(
        self, name: str, /, *, key: Callable[..., str], **overrides: Unpack[Options]
    ) -> Callable[[AsyncFunction], AsyncFunction]:
        """Decorate a coroutine function or an async generator function with one breaker per key.

        The breakers are named `name[key]`. If a key is longer than 100 characters or not printable, its name contains
        an excerpt and a digest instead, which differ for different keys. The breakers of a group share a definition: a
        second decorator with the same name uses the same breakers, and must not contradict the first one.

        Args:
            name: The name of the group; without brackets.
            key: A synchronous function that takes the arguments of each call and returns the key, a string. For a
                method, the first argument is `self`. What it raises reaches the caller, with a note. The registry keeps
                `max_breakers` breakers, so fewer keys than that should be in use at a time.
            **overrides: Settings that replace the defaults. They must not contradict a breaker of the group that
                `breaker()` has created; one that was added, or is configured by its own name, keeps its settings.

        Raises:
            TypeError: An argument has the wrong type; at a call: the key is not a string.
            ValueError: An argument is out of range, or contradicts the definition of the group or of one of its
                breakers.
        """
        keyed = KeyedBreakers(name, key, partial(self._obtain_of_group, name))
        wanted = self.defined.definitions.of(overrides)
        definition = self.defined.groups.get(name, wanted)
        if overrides and name in self.defined.groups:
            _refuse(conflict(name + ANY_KEY, definition, definition.settings, overrides))
        elif overrides:
            for breaker, made in self.defined.breakers_of_group(name):
                _refuse(conflict(breaker.name, made, breaker.engine.machine.settings, overrides))
        self.defined.groups[name] = definition
        return keyed.decorate

    # Changing

    def reconfigure(self, name: str | None = None, /, **settings: Unpack[Options]) -> None:
        """Change the settings of one breaker, of a per-key group, or the defaults; all states and windows stay.

        New defaults apply at once to all breakers that the registry has created and to those that it creates later,
        except for a breaker's own settings: those from overrides, from the configuration, or from reconfiguring that
        breaker. New settings of a group apply to its breakers in the same way. Later calls of `breaker()` and
        `per_key()` may repeat the original definition, so the code that contains it keeps working. If a value is
        refused, nothing changes. Works in any thread, also without an event loop.

        Args:
            name: The name of a breaker or of a per-key group, as `web` or `web[...]`; None for the defaults.
            **settings: Settings as for `CircuitBreaker`.

        Raises:
            TypeError: The name is not a string, or a setting is unknown or has the wrong type.
            ValueError: A setting is out of range, or the name is that of neither or of both a breaker and a group.
        """
        if name is None:
            with STEP:
                self.defined.change_defaults(settings)
            return
        if not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        group = name.removesuffix(ANY_KEY)
        breaker = self.breaker(name) if name in self.defined.configured else self.get(name)
        if group not in self.defined.groups:
            if breaker is None:
                raise ValueError(f"name must be that of {self._existing()}, not {name!r}")
            with STEP:
                self.defined.change_one(breaker, settings)
            return
        if breaker is not None:
            raise ValueError(
                f"name must be that of a circuit breaker or of a per-key group, but {name!r} is both: use "
                f"{group if name != group else group + ANY_KEY!r} for the group, or reconfigure() the breaker itself"
            )
        with STEP:
            self.defined.change_group(group, settings)

    def reset(self, reason: str | None = None, *, author: str = "") -> None:
        """Close all breakers and clear what their rules have counted, those forced open or disabled too.

        Works in any thread, also without an event loop. In a fleet, each breaker follows the fleet again afterwards.

        Args:
            reason: Why; shown in logs and health.
            author: Who does it; shown in logs and health.

        Raises:
            TypeError: An argument has the wrong type.
        """
        for breaker in self:
            breaker.reset(reason, author=author)

    # Listening

    @overload
    def subscribe(self, listener: Callable[[Event], object]) -> Callable[[], None]: ...
    @overload
    def subscribe(self, listener: Callable[[E], object], kinds: type[E]) -> Callable[[], None]: ...
    @overload
    def subscribe(self, listener: Callable[[Any], object], kinds: tuple[type[Event], ...]) -> Callable[[], None]: ...
    def subscribe(self, listener: Callable[[Any], object], kinds: Kinds = Event) -> Callable[[], None]:
        """Call a listener with each event of every breaker, present and future; return a function that unsubscribes it.

        The listener runs as for `CircuitBreaker.subscribe()`, and costs a breaker only the kinds that it names.

        Args:
            listener: A synchronous callable that takes an event.
            kinds: Which events: a type or a tuple of types; all by default.

        Raises:
            TypeError: The listener is not a synchronous callable, or `kinds` are not event types.
            ValueError: No breaker reports events of these kinds.
        """
        return listen(self.fan_in.dispatcher, listener, kinds, self.fan_in.refresh)

    @overload
    def events(self, *, max_buffer: int = 256) -> EventStream[Event]: ...
    @overload
    def events(self, *, max_buffer: int = 256, kinds: type[E]) -> EventStream[E]: ...
    @overload
    def events(self, *, max_buffer: int = 256, kinds: tuple[type[E], ...]) -> EventStream[E]: ...
    def events(self, *, max_buffer: int = 256, kinds: Kinds = Event) -> EventStream[Any]:
        """Return a stream of the events of all breakers, present and future.

        Args:
            max_buffer: How many unread events are kept (>= 1), as for `CircuitBreaker.events()`. An `EventsDropped` has
                the name of the breaker whose event comes next.
            kinds: Which events, as for `CircuitBreaker.events()`.
        """
        return EventStream(self.fan_in.dispatcher, max_buffer, kinds, self.fan_in.refresh)

    # Reading

    def health(self) -> RegistryHealth:
        """Return the time and the health of each breaker by name, as a JSON-ready dictionary.

        It is a `recloser.registry.RegistryHealth`, of version 1: later releases may add keys to this version, and
        change none.

        An open breaker means degraded, not dead. Don't use it as a readiness or liveness check: restarting this process
        does not repair its dependencies.
        """
        breakers = {breaker.name: _without_infinities(breaker.health()) for breaker in self}
        return {
            "version": VERSION,
            "timestamp": datetime.now(UTC).isoformat(),
            "event_loops": event_loop_health(),
            "breakers": breakers,
        }

    def lint(self) -> list[Finding]:
        """Return settings that are valid but known to cause outages.

        These are a threshold of 1 or 2 failures, in a row or in a window, a reset timeout under 1 s or over 10 minutes,
        and a rate with `minimum_calls` under 5. A setting of the defaults is reported once, for `defaults`, and one of
        a per-key group once, for `name[...]`.

        Returns:
            The findings, each a `recloser.registry.Finding` with `breaker`, `setting`, `value` and a `message` that
            says what happens and what to set instead.
        """
        from recloser._registry.findings import findings_of  # noqa: PLC0415 - as above

        return findings_of(self.defined, self)

    def __len__(self) -> int:
        """Return the number of breakers, including evicted ones that are still in use."""
        return len(self.queue)

    def __iter__(self) -> Iterator[CircuitBreaker]:
        """Iterate over the present breakers, in no particular order."""
        return iter(self.queue)

    def __getitem__(self, name: str) -> CircuitBreaker:
        """Return the breaker with a name; unlike `breaker()`, this creates none.

        Raises:
            KeyError: There is no such breaker; the message names those with a similar name.
        """
        breaker = self.get(name) if isinstance(name, str) else None
        if breaker is None:
            raise KeyError(f"there is no circuit breaker {name!r}; {similar(name, [each.name for each in self])}")
        return breaker

    def __contains__(self, item: object) -> bool:
        """Return whether there is a breaker with this name, or whether this breaker is one of the registry's."""
        if isinstance(item, CircuitBreaker):
            return self.get(item.name) is item
        return isinstance(item, str) and self.get(item) is not None

    def __bool__(self) -> bool:
        """Return True, also without breakers: a registry is no container to test for emptiness."""
        return True

    def __repr__(self) -> str:
        """Return the number of breakers, as text."""
        return f"<BreakerRegistry of {len(self)}>"

    # Internals

    def _obtain_of_group(self, group: str, name: str) -> CircuitBreaker:
        try:
            self._recent.move_to_end(name)
            return self._recent[name]
        except KeyError:
            return self._obtain(name, self.defined.groups[group])

    def _obtain(self, name: str, definition: Definition) -> CircuitBreaker:
        """Return the breaker with a name; a new one is defined by its configuration, its group, or `definition`."""
        breaker = self.queue.use(name)
        if breaker is None:
            group = group_of(name)
            if group is not None:
                definition = self.defined.groups.get(group, definition)
            definition = self.defined.configured.get(name, definition)
            engine = Engine(name, definition.settings, self._clock, SYSTEM_RANDOM)
            engine.definition = definition
            breaker = self._put(new_breaker(engine))
            self._announce(breaker)
        return breaker

    def _put(self, breaker: CircuitBreaker) -> CircuitBreaker:
        """Add a breaker to the queue and the fleet, unless its name is taken; return the breaker with that name."""
        if self._fleet is None:
            return self.queue.put(breaker)
        with self._joining:
            if self.queue.find(breaker.name) is None:
                self._fleet.join(breaker)
            return self.queue.put(breaker)

    def _announce(self, breaker: CircuitBreaker) -> None:
        """Attach a new breaker to the registry's listeners, and notify all followers."""
        self.fan_in.attach(breaker)
        with STEP:  # another thread may add a follower now
            followers = tuple(self.followers)
        for follower in followers:
            follower.enter(breaker)

    def _existing(self) -> str:
        """Return what can be reconfigured, as a part of a sentence."""
        names = {*self.defined.configured, *(breaker.name for breaker in self)}
        return f"a circuit breaker of this registry ({some(names)}) or of a per-key group ({some(self.defined.groups)})"


def _refuse(contradiction: str | None) -> None:
    if contradiction is not None:
        raise ValueError(contradiction)


def _without_infinities(health: BreakerHealth) -> BreakerHealth:
    """Return health with None in place of infinities and NaN, which JSON can't represent."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in health.items()
    }
    return cast("BreakerHealth", finite)
