"""The format of keys, of the arguments of a script, of its reply, and of messages.

Users choose names, reasons and authors, and any client of the server can publish messages. So these texts are
percent-encoded (RFC 3986): only letters, digits and `-._~%` are left, and no text can break out of its key or field.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from recloser._core.states import CircuitState
from recloser.fleet._store.operations import (
    MOST_NAME_BYTES,
    MOST_NAMESPACE_BYTES,
    Acquire,
    AnyOperation,
    Control,
    EvidenceOperation,
    Renew,
    Report,
    Result,
    Timely,
    check_name,
)
from recloser.fleet._store.values import Code, Message, Reply, SharedState

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION: Final = "v1"
_NUMBER: Final = re.compile(r"[0-9]{1,16}")
_FIELDS: Final = 9
_LONGEST_MESSAGE: Final = 8_192


class Namespace:
    """The keys and the channel of one namespace.

    Args:
        name: 1 to 100 bytes of UTF-8.
    """

    def __init__(self, name: str) -> None:
        self._encoded = check_name("namespace", name, MOST_NAMESPACE_BYTES)
        self.channel: str = f"cb:{self._encoded}:ev"

    def keys(self, name: str) -> tuple[str, str]:
        """Return the keys of a breaker's record and evidence; both are in one slot of a cluster."""
        tag = f"cb:{{{self._encoded}/{quote(name, safe='')}}}"
        return f"{tag}:s", f"{tag}:w"


def arguments(channel: str, operation: AnyOperation) -> list[str | int | float]:
    """Return the arguments of an operation's script: first those of all scripts, then its own."""
    not_after_us = operation.not_after_us if isinstance(operation, Timely) else 0
    known, policy = operation.known, operation.policy
    head = _fields(operation.name, known)
    return [channel, *head, policy.max_open_us, policy.lease_us, not_after_us, *_own_arguments(operation)]


def _own_arguments(operation: AnyOperation) -> Sequence[str | int | float]:
    policy = operation.policy
    if isinstance(operation, EvidenceOperation):
        evidence = (operation.worker, operation.closed_generation, policy.quorum, policy.open_us)
        return (*evidence, *_report_arguments(operation)) if isinstance(operation, Report) else evidence
    if isinstance(operation, Acquire):
        return (operation.worker,)
    if isinstance(operation, Renew):
        return (operation.token,)
    if isinstance(operation, Result):
        needed = policy.success_threshold
        return (operation.token, operation.result.value, needed, policy.open_us, repr(policy.multiplier))
    if isinstance(operation, Control):
        author, reason = quote(operation.author, safe=""), quote(operation.reason, safe="")
        return (operation.action.value, -1 if operation.for_us is None else operation.for_us, author, reason)
    return ()


def _report_arguments(report: Report) -> tuple[str | int | float, ...]:
    rule = report.rule
    window = (rule.window_us, rule.buckets, rule.minimum_calls, rule.count, repr(rule.rate))
    return (rule.tag, report.sequence, report.hits, report.total, *window)


def read_reply(reply: Sequence[bytes | int]) -> Reply:
    """Return the reply of a script as values.

    Raises:
        ValueError: The reply is malformed.
    """
    code, *fields, now, problem = (item.decode("ascii") if isinstance(item, bytes) else str(item) for item in reply)
    return Reply(Code(int(code)), _state(fields), int(now), problem or None)


def write_message(name: str, shared: SharedState) -> str:
    """Return the message of a transition: `v1|name|generation|state|remaining_us|trips|passed|author|reason`."""
    encoded, generation, state, *rest = (str(field) for field in _fields(name, shared))
    return "|".join((VERSION, encoded, generation, state, *rest))


def read_message(data: bytes) -> Message | None:
    """Return a message as values, None if it is malformed or of another version."""
    if len(data) > _LONGEST_MESSAGE:
        return None
    try:
        version, name, generation, state, *rest = data.decode("ascii").split("|")
        if version != VERSION or len(rest) != _FIELDS - len(("version", "name", "generation", "state")):
            return None
        decoded = unquote(name, errors="strict")
        if check_name("name", decoded, MOST_NAME_BYTES) != name:
            return None
        return Message(decoded, _state((state, generation, *rest)))
    except ValueError:
        return None


def _fields(name: str, shared: SharedState) -> tuple[str | int, ...]:
    left = -1 if shared.remaining_us is None else shared.remaining_us
    author, reason = quote(shared.author, safe=""), quote(shared.reason, safe="")
    encoded = quote(name, safe="")
    return (encoded, shared.generation, shared.state.value, left, shared.trips, shared.passed, author, reason)


def _state(fields: Sequence[str]) -> SharedState:
    """Return the state of these fields: state, generation, remaining, trips, passed, author, reason."""
    state, generation, remaining, trips, passed, author, reason = fields
    return SharedState(
        CircuitState(state),
        _integer(generation),
        None if remaining == "-1" else _integer(remaining),
        _integer(trips),
        _integer(passed),
        unquote(author),
        unquote(reason),
    )


def _integer(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"not an integer >= 0: {text[:20]!r}")
    return int(text)
