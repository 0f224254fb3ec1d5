"""Lints all settings of a registry, and reports each finding once: for the defaults, a group or a breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser._registry.keyed import ANY_KEY, group_of
from recloser._registry.lint import Finding, lint
from recloser._registry.origin import finding_message
from recloser._registry.tables import join

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recloser._breaker.breaker import CircuitBreaker
    from recloser._registry.config import Configuration
    from recloser._registry.reconfigure import Defined


def findings_of(defined: Defined, breakers: Iterable[CircuitBreaker]) -> list[Finding]:
    """Return the findings in the settings of a registry.

    Args:
        defined: The definitions of the registry.
        breakers: Its present breakers.
    """
    general = list(lint("defaults", defined.definitions.default.settings))
    findings = list(general)
    of_group: dict[str | None, list[Finding]] = {}
    for name, definition in defined.groups.items():
        of_group[name] = _unreported(lint(name + ANY_KEY, definition.settings), general)
        findings += of_group[name]
    settings = {name: definition.settings for name, definition in defined.configured.items()}
    settings |= {breaker.name: breaker.engine.machine.settings for breaker in breakers}
    for name, own in settings.items():
        findings += _unreported(lint(name, own), [*general, *of_group.get(group_of(name), ())])
    return findings


def warnings_of(defined: Defined, found: Configuration) -> Iterator[str]:
    """Iterate over a message for each finding in a configuration.

    Args:
        defined: The definitions that the configuration has led to.
        found: The configuration.
    """
    general = list(lint("defaults", defined.definitions.default.settings))
    for finding in general:
        yield finding_message(finding, "defaults", found.tables["defaults"], found.source)
    for section, definitions in (("per_key", defined.groups), ("breakers", defined.configured)):
        for name, definition in definitions.items():
            for finding in _unreported(lint(name, definition.settings), general):
                yield finding_message(finding, join(section, name), found.tables[section][name], found.source)


def _unreported(found: Iterable[Finding], known: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are not yet reported for the defaults or the group of the breaker."""
    reported = {(finding.setting, finding.value) for finding in known}
    return [finding for finding in found if (finding.setting, finding.value) not in reported]
