"""How a registry defines its breakers; definitions are shared, so that a million breakers share their settings.

A definition has three parts. `first` has the settings with which the breaker, its group or its configuration was first
defined: code that repeats them keeps working after `reconfigure()`. `settings` are the current settings. `own` names
the fields that belong to the breaker itself, which new defaults do not change.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from recloser._core.defaults import ConsecutiveFailures, ConstantBackoff
from recloser._core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from recloser._core.trip import TripRule

SHARED_DEFINITIONS = 256
"""How many definitions with overrides a registry remembers to share them."""

FIELDS = tuple(field.name for field in fields(Settings))
_FIELD_OF = {"failure_threshold": "trip_when", "reset_timeout_seconds": "backoff"}
_OPTION_OF = {"backoff": "reset_timeout_seconds"}


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """How a registry defines one breaker or many.

    Attributes:
        source: The registry's definitions.
        first: The settings of the first definition.
        settings: The current settings.
        own: The fields that the defaults do not change.
    """

    source: Definitions
    first: Settings
    settings: Settings
    own: frozenset[str] = frozenset()


class Definitions:
    """The defaults of a registry, and the definitions that are derived from them.

    Args:
        options: The defaults.
        check: Raises ValueError for settings that it refuses; None accepts all.

    Raises:
        TypeError: An option is unknown or has the wrong type.
        ValueError: An option is out of range, or the check refuses it.
    """

    def __init__(self, options: Mapping[str, Any], check: Callable[[Settings], None] | None = None) -> None:
        self._check = check
        settings = self._changed(Settings(), options)
        self.default: Definition = Definition(self, settings, settings)
        self.shared: dict[tuple[Settings, Settings, frozenset[str]], Definition] = {}

    def of(self, options: Mapping[str, Any]) -> Definition:
        """Return the definition that consists of the defaults and some overriding options."""
        if not options:
            return self.default
        settings = self._changed(self.default.settings, options)
        return self._share(Definition(self, settings, settings, named_fields(options)))

    def revised(self, definition: Definition, current: Settings, options: Mapping[str, Any]) -> Definition:
        """Return the new definition of a breaker whose current settings are changed by options."""
        own = definition.own | _set_by_hand(definition.settings, current) | named_fields(options)
        return Definition(self, definition.first, self._changed(current, options), own)

    def change_defaults(self, options: Mapping[str, Any]) -> None:
        """Change the defaults.

        Raises:
            TypeError: An option is unknown or has the wrong type.
            ValueError: An option is out of range.
        """
        settings = self._changed(self.default.settings, options)
        self.default = Definition(self, settings, settings)
        self.shared.clear()

    def rebased(self, definition: Definition, current: Settings | None = None) -> Definition:
        """Return a definition that combines its own fields with the current defaults.

        Args:
            definition: A definition on earlier defaults.
            current: The settings of a breaker with this definition; fields that differ were set directly on the breaker
                and become its own.
        """
        current = definition.settings if current is None else current
        own = definition.own | _set_by_hand(definition.settings, current)
        return self._share(Definition(self, definition.first, _with(self.default.settings, current, own), own))

    def regrouped(self, old: Definition, new: Definition, definition: Definition, current: Settings) -> Definition:
        """Return the new definition of a group's breaker after the group's definition has changed.

        Args:
            old: The old definition of the group.
            new: The new definition of the group.
            definition: The breaker's definition.
            current: The breaker's settings; fields that differ from the group's are its own and stay.
        """
        own = _set_by_hand(old.settings, current)
        if not own:
            return new
        return self._share(Definition(self, definition.first, _with(new.settings, current, own), new.own | own))

    def _changed(self, settings: Settings, options: Mapping[str, Any]) -> Settings:
        changed = settings.changed(dict(options))
        if self._check is not None:
            self._check(changed)
        return changed

    def _share(self, definition: Definition) -> Definition:
        """Return an equal definition that is shared already, else share this one."""
        key = definition.first, definition.settings, definition.own
        try:
            known = self.shared.get(key)
        except TypeError:  # a predicate that can't be hashed
            return definition
        if known is None:
            if len(self.shared) >= SHARED_DEFINITIONS:
                self.shared.clear()
            self.shared[key] = known = definition
        return known


def _set_by_hand(defined: Settings, current: Settings) -> frozenset[str]:
    """Return the fields in which a breaker differs from its definition because it was reconfigured directly."""
    if current is defined:
        return frozenset()
    return frozenset(field for field in FIELDS if getattr(current, field) != getattr(defined, field))


def _with(base: Settings, current: Settings, own: Iterable[str]) -> Settings:
    """Return the base settings with the own fields of the current ones; the base itself if there are none."""
    kept = {field: getattr(current, field) for field in own}
    return replace(base, **kept) if kept else base


def named_fields(options: Mapping[str, Any]) -> frozenset[str]:
    """Return the fields of the settings that options set; a rule or a threshold of None sets nothing."""
    return frozenset(
        _FIELD_OF.get(option, option)
        for option, value in options.items()
        if value is not None or _FIELD_OF.get(option, option) != "trip_when"
    )


def difference(defined: Settings, wanted: Settings, options: Mapping[str, Any]) -> str:
    """Return the settings that differ, with both values, as a part of a sentence; empty if none differ.

    Args:
        defined: The current settings.
        wanted: The settings with the options.
        options: The options; if they contain `failure_threshold`, the text names that instead of `trip_when`.
    """
    by_threshold = options.get("failure_threshold") is not None
    return "; ".join(
        _by_threshold(old, new) if by_threshold and field == "trip_when" else _by_value(field, old, new)
        for field in FIELDS
        if (old := getattr(defined, field)) != (new := getattr(wanted, field))
    )


def _by_threshold(old: TripRule, new: ConsecutiveFailures) -> str:
    if isinstance(old, ConsecutiveFailures) and old.within_seconds is None:
        return f"failure_threshold is {old.failures}, not {new.failures}"
    return f"trip_when is {old!r}, not failure_threshold={new.failures}"


def _by_value(field: str, old: object, new: object) -> str:
    return f"{_OPTION_OF.get(field, field)} is {_shown(old)}, not {_shown(new)}"


def _shown(value: object) -> str:
    if isinstance(value, ConstantBackoff):
        return f"{value.seconds:g}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    return value.__qualname__ if isinstance(value, type) else repr(value)


def conflict(name: str, definition: Definition | None, current: Settings, options: Mapping[str, Any]) -> str | None:
    """Return how options contradict a breaker; None if they match its first definition or its current settings.

    Raises:
        TypeError: An option is unknown or has the wrong type.
        ValueError: An option is out of range.
    """
    found = difference(current, current.changed(dict(options)), options)
    first = current if definition is None else definition.first
    if not found or first.changed(dict(options)) == first:
        return None
    return (
        f"circuit breaker {name!r} is already defined differently: {found}; "
        "get it without settings, or change it with reconfigure()"
    )
