"""Reads a configuration: every key has a reader, which checks the value and returns what it means.

A mapping may also contain values that TOML can't express, such as exception types and trip rules.
"""

from __future__ import annotations

import operator
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import chain
from pathlib import Path
from typing import Any

from recloser._core import checks
from recloser._core.backoff import ExponentialBackoff
from recloser._core.defaults import ConstantBackoff
from recloser._core.settings import TYPE_ONLY, Settings
from recloser._core.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowCallRate, TripRule
from recloser._core.windows import CountWindow, TimeWindow
from recloser._registry.keyed import check_group
from recloser._registry.tables import (
    Reader,
    as_table,
    blamed_on,
    imported,
    join,
    or_none,
    read_table,
    refuse_unknown,
)

DEEPEST = 32  # levels of tables and lists within each other, many more than any setting needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The configuration of a registry, and where it comes from.

    Attributes:
        max_breakers: How many breakers the registry keeps.
        defaults: The options of the defaults.
        breakers: The options of each breaker by name.
        groups: The options of each per-key group by name.
        source: The name of the file; empty if there is none.
        tables: The tables, as they were read.
    """

    max_breakers: int = 10_000
    defaults: dict[str, Any] = field(default_factory=dict)
    breakers: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    source: str = ""
    tables: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a bound below the number of configured breakers: some of them would be evicted at once."""
        if len(self.breakers) > self.max_breakers:
            raise ValueError(
                f"max_breakers must be >= the number of configured breakers ({len(self.breakers)}), "
                f"not {self.max_breakers}"
            )


def read_configuration(source: Mapping[str, Any] | str | os.PathLike[str]) -> Configuration:
    """Return the configuration in a mapping or a TOML file.

    Raises:
        OSError: The file can't be read.
        TypeError: The source or a value has the wrong type.
        ValueError: A key is unknown, a value is out of range, or the file is not TOML or is nested too deeply.
    """
    if isinstance(source, Mapping):
        return _configuration(source)
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"source must be a mapping or the path of a TOML file, not {source!r}")
    text = Path(source).read_bytes()
    try:
        tables = tomllib.loads(text.decode())
    except RecursionError:
        raise _too_deep(os.fspath(source)) from None
    except ValueError as exc:
        raise ValueError(f"{os.fspath(source)} is not TOML: {exc}") from exc
    with blamed_on(os.fspath(source)):
        return _configuration(tables, os.fspath(source))


def _configuration(tables: Mapping[str, Any], source: str = "") -> Configuration:
    if _is_deeper(tables, DEEPEST):
        raise _too_deep("the configuration")
    found = read_table("", tables, SECTIONS)
    parts = {"groups" if key == "per_key" else key: value for key, value in found.items()}
    return Configuration(**parts, source=source, tables=tables)


def _too_deep(source: str) -> ValueError:
    return ValueError(f"{source} is nested too deeply; the top-level keys of a configuration are {', '.join(SECTIONS)}")


def _is_deeper(tables: Mapping[str, Any], levels: int) -> bool:
    """Tell whether tables and lists lie more than so many levels within each other, or a list lies within itself."""
    level: list[Any] = [tables]
    for _ in range(levels):
        within = chain.from_iterable(item.values() if isinstance(item, Mapping) else item for item in level)
        level = [*{id(item): item for item in within if isinstance(item, Mapping | list | tuple)}.values()]
    return bool(level)


# Tables of settings


def _settings(path: str, value: object) -> dict[str, Any]:
    options = read_table(path, value, SETTINGS)
    with blamed_on(path, {key: key for key in SETTINGS}):
        Settings().changed(options)
    return options


def _breakers(path: str, value: object) -> dict[str, dict[str, Any]]:
    return {name: _settings(join(path, name), table) for name, table in as_table(path, value).items()}


def _groups(path: str, value: object) -> dict[str, dict[str, Any]]:
    groups = _breakers(path, value)
    for name in groups:
        with blamed_on(join(path, name)):
            check_group(name)
    return groups


# Values


def _window(path: str, value: object) -> CountWindow | TimeWindow:
    if isinstance(value, CountWindow | TimeWindow):
        return value
    window: CountWindow | TimeWindow = _kind(path, as_table(path, value), WINDOWS).read(path, value)
    return window


def _rule(path: str, value: object) -> TripRule:
    if isinstance(value, TripRule):
        return value
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError(f"{path} must be a trip rule or a list of one or more, not {value!r}")
        return reduce(operator.or_, (_rule(f"{path}[{index}]", part) for index, part in enumerate(value)))
    rule: TripRule = _kind(path, as_table(path, value), RULES).read(path, value)
    return rule


def _reset_timeout(path: str, value: object) -> object:
    if isinstance(value, ConstantBackoff | ExponentialBackoff):
        return value
    if isinstance(value, Mapping):
        return BACKOFF.read(path, value)
    return checks.seconds(path, value, zero=True)


def _exceptions(path: str, value: object) -> object:
    """Read one exception type, a list of them, or a predicate."""
    if isinstance(value, list | tuple):
        return tuple(_exception(f"{path}[{index}]", item) for index, item in enumerate(value))
    found = imported(path, value) if isinstance(value, str) else value
    return found if callable(found) and not isinstance(found, type) else _exception(path, found)


def _exception(path: str, value: object) -> type[BaseException]:
    found = imported(path, value) if isinstance(value, str) else value
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise TypeError(f"{path} must be an exception type, or name one, such as 'builtins.OSError', not {value!r}")
    return found


def _predicate(path: str, value: object) -> object:
    found = imported(path, value) if isinstance(value, str) else value
    if not callable(found):
        raise TypeError(f"{path} must name a predicate, such as 'package.module.function', not {value!r}")
    return found


def _description(path: str, value: object) -> object:
    if value == TYPE_ONLY:
        return value
    found = imported(path, value) if isinstance(value, str) else value
    if isinstance(found, type) or not callable(found):
        wanted = f"{TYPE_ONLY!r} or name a function, such as 'package.module.function'"
        raise TypeError(f"{path} must be {wanted}, not {value!r}")
    return found


# Kinds of tables


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of table that stands for one value.

    Args:
        make: Makes the value.
        readers: The readers of the keys that the table may have.
        names: The argument of `make` for each key that has another name.
        required: A key that must be present besides the one that identifies the kind, and its range.
    """

    make: Callable[..., Any]
    readers: Mapping[str, Reader]
    names: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, str] | None = None

    def read(self, path: str, value: object) -> Any:  # noqa: ANN401 - of many types
        """Return the value that a table stands for."""
        found = read_table(path, value, self.readers)
        if self.required is not None and self.required[0] not in found:
            key, wanted = self.required
            raise ValueError(f"{join(path, key)} must be {wanted}, and is missing")
        with blamed_on(path, {self.names.get(key, key): key for key in self.readers}):
            return self.make(**{self.names.get(key, key): item for key, item in found.items()})


def _kind(path: str, table: Mapping[str, object], kinds: Mapping[str, Kind]) -> Kind:
    """Return the kind of a table; each kind has one key that identifies it."""
    named = [key for key in kinds if key in table]
    if len(named) != 1:
        refuse_unknown(path, table, {key: None for kind in kinds.values() for key in kind.readers})
        raise ValueError(f"{path} must have exactly one of the keys {', '.join(kinds)}, not {dict(table)!r}")
    return kinds[named[0]]


_seconds: Reader = checks.seconds

WINDOWS = {
    "count": Kind(CountWindow, {"count": checks.count}, {"count": "size"}),
    "seconds": Kind(TimeWindow, {"seconds": _seconds, "buckets": checks.count}),
}

_MEASURED: dict[str, Reader] = {"window": _window, "minimum_calls": checks.count}

RULES = {
    "consecutive_failures": Kind(
        ConsecutiveFailures,
        {"consecutive_failures": checks.count, "within_seconds": or_none(_seconds)},
        {"consecutive_failures": "failures"},
    ),
    "failure_rate": Kind(FailureRate, {"failure_rate": checks.rate, **_MEASURED}, {"failure_rate": "rate"}),
    "failure_count": Kind(
        FailureCount, {"failure_count": checks.count, "window": _window}, {"failure_count": "failures"}
    ),
    "slow_call_rate": Kind(
        SlowCallRate,
        {"slow_call_rate": checks.rate, "slow_call_seconds": _seconds, **_MEASURED},
        {"slow_call_rate": "rate"},
        required=("slow_call_seconds", "a finite number of seconds > 0"),
    ),
}

BACKOFF = Kind(
    ExponentialBackoff,
    {
        "initial_seconds": _seconds,
        "multiplier": partial(checks.number_at_least, least=1),
        "maximum_seconds": _seconds,
        "jitter": checks.fraction,
    },
    required=("initial_seconds", "a finite number of seconds > 0"),
)

SETTINGS: dict[str, Reader] = {
    "failure_threshold": or_none(checks.count),
    "reset_timeout_seconds": _reset_timeout,
    "expected_exception": _exceptions,
    "ignored_exception": _exceptions,
    "failed_result": or_none(_predicate),
    "trip_when": or_none(_rule),
    "success_threshold": checks.count,
    "max_probes": checks.count,
    "probe_timeout_seconds": or_none(_seconds),
    "overdue_after_seconds": or_none(checks.limit),
    "shadow": checks.flag,
    "describe_error": or_none(_description),
}

SECTIONS: dict[str, Reader] = {
    "max_breakers": checks.count,
    "defaults": _settings,
    "breakers": _breakers,
    "per_key": _groups,
}
