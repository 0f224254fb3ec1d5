"""Keeps the definitions of a registry's breakers, and changes them: the defaults, a group, or one breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser._breaker.control import adopt
from recloser._registry.definitions import Definition
from recloser._registry.keyed import group_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recloser._breaker.breaker import CircuitBreaker
    from recloser._core.settings import Options
    from recloser._registry.config import Configuration
    from recloser._registry.definitions import Definitions


class Defined:
    """The definitions of a registry: its defaults, its per-key groups, and its breakers with a configuration.

    Args:
        definitions: The defaults, and the definitions that are derived from them.
        breakers: Iterates over the registry's present breakers.
    """

    def __init__(self, definitions: Definitions, breakers: Iterable[CircuitBreaker]) -> None:
        self.definitions = definitions
        self.configured: dict[str, Definition] = {}
        self.groups: dict[str, Definition] = {}
        self._breakers = breakers

    def configure(self, found: Configuration) -> None:
        """Define the groups and the breakers of a configuration."""
        self.groups |= {name: self.definitions.of(options) for name, options in found.groups.items()}
        self.configured |= {name: self.definitions.of(options) for name, options in found.breakers.items()}

    def breakers_of_group(self, group: str) -> Iterator[tuple[CircuitBreaker, Definition]]:
        """Iterate over a group's breakers, except those that were added or are configured by their own name."""
        for breaker in self._breakers:
            if group_of(breaker.name) != group or breaker.name in self.configured:
                continue
            definition = definition_of(breaker)
            if definition is not None and definition.source is self.definitions:
                yield breaker, definition

    def change_one(self, breaker: CircuitBreaker, options: Options) -> None:
        """Change the settings of one breaker; if it is configured, it keeps them after an eviction."""
        engine, definition = breaker.engine, definition_of(breaker)
        current = engine.machine.settings
        if definition is None or definition.source is not self.definitions:
            adopt(engine, current.changed(dict(options)), engine.now())
            return
        revised = self.definitions.revised(definition, current, options)
        adopt(engine, revised.settings, engine.now())
        engine.definition = revised
        if breaker.name in self.configured:
            self.configured[breaker.name] = revised

    def change_group(self, group: str, options: Options) -> None:
        """Change the definition of a group and its breakers, in one synchronous step."""
        old = self.groups[group]
        self.groups[group] = new = self.definitions.revised(old, old.settings, options)
        for breaker, definition in self.breakers_of_group(group):
            engine = breaker.engine
            current = engine.machine.settings
            engine.definition = changed = self.definitions.regrouped(old, new, definition, current)
            if changed.settings != current:
                adopt(engine, changed.settings, engine.now())

    def change_defaults(self, options: Options) -> None:
        """Change the defaults and everything that is derived from them, in one synchronous step."""
        definitions = self.definitions
        definitions.change_defaults(options)
        for table in (self.configured, self.groups):
            table.update({name: definitions.rebased(definition) for name, definition in table.items()})
        for breaker in self._breakers:
            engine, definition = breaker.engine, definition_of(breaker)
            if definition is None or definition.source is not definitions:
                continue
            rebased = definitions.rebased(definition, engine.machine.settings)
            if rebased.settings != engine.machine.settings:
                adopt(engine, rebased.settings, engine.now())
            engine.definition = rebased


def definition_of(breaker: CircuitBreaker) -> Definition | None:
    """Return the definition of a breaker; None if no registry has defined it."""
    definition = breaker.engine.definition
    return definition if isinstance(definition, Definition) else None
