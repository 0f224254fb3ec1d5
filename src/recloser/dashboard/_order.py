"""An order to a breaker: the body of a request to `/control`."""

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import NoReturn

from recloser.dashboard._http import RefusedError

LONGEST_TEXT = 500
LONGEST_SECONDS = 10 * 366 * 24 * 3600
# They change the direction of the text that follows, and so how an order reads.
_DIRECTION_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class OrderAction(StrEnum):
    """What an order can do to a breaker."""

    FORCE_OPEN = "force_open"
    DISABLE = "disable"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator wants.

    Attributes:
        breaker: The breaker's name.
        action: What to do to it.
        reason: Why.
        author: The operator's name, as the operator gave it.
        for_seconds: How long the breaker stays forced open or disabled; None means until it is reset.
        generation: The generation that the operator has seen; None if it does not matter.
        instance: The process that the operator has seen; None if it does not matter.
    """

    breaker: str
    action: OrderAction
    reason: str
    author: str
    for_seconds: float | None
    generation: int | None
    instance: str | None

    def __str__(self) -> str:
        """Return the order in one line, with the texts of users quoted."""
        limit = "" if self.for_seconds is None else f" for {self.for_seconds:g} s"
        return f"{self.action} of circuit breaker {self.breaker!r}{limit}, because {self.reason!r}"

    def fields(self) -> dict[str, object]:
        """Return the order for a structured log."""
        return {
            "circuit_breaker": self.breaker,
            "action": self.action.value,
            "reason": self.reason,
            "author": self.author,
            "for_seconds": self.for_seconds,
        }


def read_order(body: bytes) -> Order:
    """Return the order in the body of a request.

    Raises:
        RefusedError: It is no JSON, or no order; the detail says what an order looks like.
    """
    try:
        data = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The body is no JSON.") from None
    if not isinstance(data, dict):
        _refuse("The body must be a JSON object.")
    unknown = sorted(set(data) - set(Order.__dataclass_fields__))
    if unknown:
        _refuse(f"There is no member {unknown[0][:100]!r}. There are {', '.join(Order.__dataclass_fields__)}.")
    action = _action(data)
    return Order(
        breaker=_name(data),
        action=action,
        reason=_text(data, "reason"),
        author=_text(data, "author"),
        for_seconds=_for_seconds(data, action),
        generation=_generation(data),
        instance=_instance(data),
    )


def _refuse(detail: str) -> NoReturn:
    raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(constant)


def _name(data: Mapping[str, object]) -> str:
    name = data.get("breaker")
    return name if isinstance(name, str) else _refuse("breaker must be the name of a circuit breaker.")


def _action(data: Mapping[str, object]) -> OrderAction:
    action = data.get("action")
    if not isinstance(action, str) or action not in set(OrderAction):
        _refuse(f"action must be one of {', '.join(OrderAction)}.")
    return OrderAction(action)


def _text(data: Mapping[str, object], member: str) -> str:
    """Return a member that is a text, in one line."""
    value = data.get(member)
    text = " ".join(value.split()) if isinstance(value, str) else ""
    harmful = any(unicodedata.category(each) in {"Cc", "Cs"} or each in _DIRECTION_MARKS for each in text)
    if not text or len(text) > LONGEST_TEXT or harmful:
        _refuse(f"{member} must be a text of 1 to {LONGEST_TEXT} characters, none of them a control character.")
    return text


def _for_seconds(data: Mapping[str, object], action: OrderAction) -> float | None:
    value = data.get("for_seconds")
    if value is None:
        return None
    if action is OrderAction.RESET:
        _refuse("for_seconds must be null for reset: only force_open and disable end by themselves.")
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse("for_seconds must be null or a number of seconds > 0.")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not 0 < seconds <= LONGEST_SECONDS:
        _refuse(f"for_seconds must be null or a number of seconds > 0 and <= {LONGEST_SECONDS:_} (ten years).")
    return seconds


def _generation(data: Mapping[str, object]) -> int | None:
    value = data.get("generation")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        _refuse("generation must be null or the number that /status.json says.")
    return value


def _instance(data: Mapping[str, object]) -> str | None:
    value = data.get("instance")
    if value is not None and not isinstance(value, str):
        _refuse("instance must be null or the name that /status.json says.")
    return value
