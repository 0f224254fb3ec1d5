"""The Lua scripts, each put together from the prologue, the part for evidence if it needs it, and its own part."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from recloser.fleet._store.operations import Acquire, Control, Renew, Report, Result, Sync, Vote

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARTS: Final = {
    Sync: ("prologue", "sync"),
    Report: ("prologue", "evidence", "report"),
    Vote: ("prologue", "evidence", "vote"),
    Acquire: ("prologue", "acquire"),
    Renew: ("prologue", "renew"),
    Result: ("prologue", "result"),
    Control: ("prologue", "control"),
}


class LuaScript(NamedTuple):
    """The text of a script, and the digest by which the server knows it once it was sent."""

    text: str
    digest: str

    @classmethod
    def of(cls, text: str) -> LuaScript:
        """Return the script of a text."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@cache
def lua_scripts() -> Mapping[type, LuaScript]:
    """Return the script of each operation."""
    return MappingProxyType({kind: LuaScript.of("\n".join(map(_text, parts))) for kind, parts in _PARTS.items()})


def _text(part: str) -> str:
    return (files("recloser.fleet._store") / "lua" / f"{part}.lua").read_text(encoding="utf-8")
