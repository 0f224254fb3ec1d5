"""What HTTP says about a breaker: which one an address belongs to, which answers are failures, when to come back.

What a request carries (credentials, paths, queries, header fields) and what a peer writes (reason phrases, messages of
errors) may be secret or hostile. Names and errors made here are of the origin, of numbers and of types alone.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import blake2b
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FAILURE_STATUSES = frozenset({429, 500, 502, 503, 504})
SWITCHING_PROTOCOLS = HTTPStatus.SWITCHING_PROTOCOLS.value
LONGEST_RETRY_AFTER_SECONDS = 300.0
STATUSES = range(100, 600)

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
LONGEST_HOST = 253
"""Of a name in the DNS (RFC 1035, 3.1)."""
EXCERPT = 60
DIGEST_BYTES = 16
LONGEST_DELAY_DIGITS = 15


class StatusError(Exception):
    """Stands in health, events and logs for a response whose status is a failure; never raised."""


def origin(scheme: str, host: str, port: int | None) -> str:
    """Return the origin of an address as text, the same for all ways of writing it: `https://api.example:8443`.

    Args:
        scheme: As it stands in the URL.
        host: In ASCII, IDNA-encoded; an IPv6 address without brackets. A host that no DNS could know is abbreviated.
        port: None for the scheme's own.
    """
    scheme, host = scheme.lower(), host.lower()
    if ":" in host:
        host = f"[{_compressed(host)}]"
    elif len(host) > LONGEST_HOST:
        host = f"{host[:EXCERPT]}~{blake2b(host.encode(), digest_size=DIGEST_BYTES).hexdigest()}"
    is_default = port is None or port == DEFAULT_PORTS.get(scheme)
    return f"{scheme}://{host}" if is_default else f"{scheme}://{host}:{port}"


def _compressed(address: str) -> str:
    try:
        return ipaddress.IPv6Address(address).compressed
    except ValueError:  # a zone with a percent-encoded sign, as URLs have it
        return address


def status_error(status: int) -> StatusError:
    """Return what stands for a failing status: its number and its standard phrase, not the one that the peer sent."""
    try:
        return StatusError(f"{status} {HTTPStatus(status).phrase}")
    except ValueError:
        return StatusError(str(status))


@lru_cache(maxsize=64)
def stand_in(name: str) -> type[Exception]:
    """Return an exception type of the given name, to stand for an error whose message may hold anything."""
    return type(name, (Exception,), {})


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Return whether a body is a stream of events, which has no end but that of its reader's interest."""
    return headers.get("content-type", "").strip().lower().startswith("text/event-stream")


def retry_after(headers: Mapping[str, str], longest: float | None) -> float | None:
    """Return how many seconds a response asks its client to stay away; None if it does not say, or nothing sensible.

    A date is compared with the response's own `Date`, so that it does not matter how the two clocks are set; without
    one, with the clock here (RFC 9110, 10.2.3 and 6.6.1). A wait of nothing and a date that is past say nothing.

    Args:
        headers: The response's, with names in any case.
        longest: More than this is not heeded; None if nothing is.
    """
    if longest is None:
        return None
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        seconds = math.inf if len(value) > LONGEST_DELAY_DIGITS else float(value)
    else:
        until = _date(value)
        if until is None:
            return None
        since = _date(headers.get("date", "")) or datetime.now(UTC)
        seconds = (until - since).total_seconds()
    return min(seconds, longest) if seconds > 0 else None


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date


def checked_statuses(argument: str, statuses: object) -> frozenset[int]:
    """Return a set of HTTP statuses.

    Raises:
        TypeError: It is no collection of integers.
        ValueError: One of them is no status.
    """
    wanted = "a collection of HTTP statuses from 100 to 599"
    found = tuple(statuses) if isinstance(statuses, Iterable) else None
    if found is None or not all(isinstance(status, int) and not isinstance(status, bool) for status in found):
        raise TypeError(f"{argument} must be {wanted}, not {statuses!r}")
    if not all(status in STATUSES for status in found):
        raise ValueError(f"{argument} must be {wanted}, not {statuses!r}")
    return frozenset(found)
