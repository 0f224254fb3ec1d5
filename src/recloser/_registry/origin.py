"""Finds the place in a configuration that a finding is about, with the key as the configuration spells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from recloser._core.defaults import AnyOf
from recloser._registry.config import RULES
from recloser._registry.tables import join

if TYPE_CHECKING:
    from recloser._registry.lint import Finding


def finding_message(finding: Finding, path: str, table: Mapping[str, object], source: str) -> str:
    """Return a finding as a message with its path in the configuration.

    Args:
        finding: A finding in the settings of a table.
        path: The path of the table.
        table: The table, as it was read.
        source: The name of the file; empty if there is none.
    """
    where = f"{source}: " if source else ""
    return f"{where}{_path_of(finding.setting, path, table)} = {finding.value:g}: {finding.message}"


def _path_of(setting: str, path: str, table: Mapping[str, object]) -> str:
    """Return the path in a table of settings for a setting as `lint()` names it."""
    key, _, part = setting.partition(".")
    key, _, index = key.partition("[")
    if key == "failure_threshold" and table.get(key) is None:
        key, part = "trip_when", "failures"
    place, value = join(path, key), table.get(key)
    if key == "trip_when":
        place, value = list(_rules(place, value))[int(index.rstrip("]") or 0)]
    if not part:
        return place
    return f"{place}.{_key_of(part, value) if isinstance(value, Mapping) else part}"


def _rules(path: str, value: object) -> Iterator[tuple[str, object]]:
    """Iterate over the trip rules of a value, each with its path, in the order in which they are joined."""
    if isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _rules(f"{path}[{index}]", part)
    elif isinstance(value, AnyOf):
        for index, rule in enumerate(value.rules):
            yield f"{path}.rules[{index}]", rule
    else:
        yield path, value


def _key_of(argument: str, table: Mapping[str, object]) -> str:
    """Return the key in a rule's table for an argument of the rule."""
    names = (RULES[key].names for key in table if key in RULES)
    return next((key for named in names for key, name in named.items() if name == argument), argument)
