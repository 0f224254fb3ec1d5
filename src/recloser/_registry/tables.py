"""Reads the tables of a configuration; every error names the path of the key, as TOML spells it."""

from __future__ import annotations

import difflib
import json
import pkgutil
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

Reader = Callable[[str, object], Any]
"""Takes a path and the value there; returns what the value means, or raises an error that starts with the path."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def join(path: str, key: object) -> str:
    """Return the path of a key in the table at a path."""
    text = str(key)
    text = text if _BARE_KEY.fullmatch(text) else json.dumps(text, ensure_ascii=False)
    return f"{path}.{text}" if path else text


def read_table(path: str, value: object, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Return the values of a table, each as its reader returns it.

    Raises:
        TypeError: The value is not a table, or a value in it has the wrong type.
        ValueError: A key is unknown, or a value is out of range.
    """
    table = as_table(path, value)
    refuse_unknown(path, table, readers)
    return {key: readers[key](join(path, key), item) for key, item in table.items()}


def as_table(path: str, value: object) -> Mapping[str, object]:
    """Return a value that is a table, or raise TypeError."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{path or 'the configuration'} must be a table, not {value!r}")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{join(path, key)} must have a string key, not {key!r}")
    return value


def refuse_unknown(path: str, table: Mapping[str, object], known: Mapping[str, object]) -> None:
    """Raise ValueError if a table has an unknown key; the message names the closest known key, and all of them."""
    for key, value in table.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            meant = f": did you mean {close[0]}? Known" if close else "; known"
            raise ValueError(f"{join(path, key)} = {value!r} is unknown{meant} keys are {', '.join(sorted(known))}")


@contextmanager
def blamed_on(path: str, keys: Mapping[str, str] = MappingProxyType({})) -> Generator[None, None, None]:
    """Put a path in front of the message of a TypeError or ValueError.

    Args:
        path: The path of the table that is being read.
        keys: The key in the table for each argument that a message may start with; the key replaces the argument.
    """
    try:
        yield
    except (TypeError, ValueError) as exc:
        kind = TypeError if isinstance(exc, TypeError) else ValueError
        argument, must, rest = str(exc).partition(" must ")
        is_known = bool(must) and argument in keys
        raise kind(f"{join(path, keys[argument])}{must}{rest}" if is_known else f"{path}: {exc}") from None


def or_none(reader: Reader) -> Reader:
    """Return a reader that also accepts None."""
    return lambda path, value: None if value is None else reader(path, value)


def imported(path: str, dotted: str) -> object:
    """Import the object that a dotted path names; a name without a dot is a builtin.

    Raises:
        ValueError: There is no such object, or its module can't be imported.
    """
    try:
        return pkgutil.resolve_name(dotted if "." in dotted else f"builtins.{dotted}")
    except Exception as exc:
        raise ValueError(
            f"{path} must be an importable name, such as 'OSError' or 'httpx.TransportError', not {dotted!r}: {exc}"
        ) from exc
