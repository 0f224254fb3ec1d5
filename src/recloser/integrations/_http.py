"""What breakers take from HTTP: the origin of an address, the statuses that are failures, the time to retry.

What a request contains (credentials, paths, queries, header fields) and what a peer sends (reason phrases, error
messages) may be secret or hostile. The names and errors made here consist of origins, numbers and types only.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUSES = range(100, 600)
UNSUPPORTED = frozenset({HTTPStatus.NOT_IMPLEMENTED.value, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED.value})
"""The 5xx that answer what was asked, however healthy the server is."""
FAILURE_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS.value, *range(500, 600)}) - UNSUPPORTED
"""429 and all 5xx but 501 and 505; those of proxies (520 to 527) and of overloaded model APIs (529) have no names."""
SWITCHING_PROTOCOLS = HTTPStatus.SWITCHING_PROTOCOLS.value
LONGEST_RETRY_AFTER_SECONDS = 300.0

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
LONGEST_HOST = 253
"""The longest name in the DNS (RFC 1035, 3.1)."""
EXCERPT = 60
DIGEST_BYTES = 16
LONGEST_DELAY_DIGITS = 15


class StatusError(Exception):
    """Represents a response with a failing status in health, events and logs; never raised.

    Args:
        status_code: The status.
    """

    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code


def origin(scheme: str, host: str, port: int | None) -> str:
    """Return the origin of an address, the same however the address is written: `https://api.example:8443`.

    Args:
        scheme: The scheme of the URL.
        host: In ASCII, IDNA-encoded; an IPv6 address without brackets. A host too long for the DNS is abbreviated.
        port: None for the default port of the scheme.
    """
    scheme, host = scheme.lower(), host.lower()
    host = f"[{_compressed(host)}]" if ":" in host else bounded(host)
    is_default = port is None or port == DEFAULT_PORTS.get(scheme)
    return f"{scheme}://{host}" if is_default else f"{scheme}://{host}:{port}"


def bounded(name: str) -> str:
    """Return a name that is fit for logs: one that is too long or not printable becomes an excerpt and a digest."""
    if len(name) <= LONGEST_HOST and name.isprintable():
        return name
    excerpt = "".join(character if character.isprintable() else "?" for character in name[:EXCERPT])
    return f"{excerpt}~{blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=DIGEST_BYTES).hexdigest()}"


def peer(scheme: str, host: str, port: int | None) -> str | None:
    """Return the host and the port that a request with an address goes to; None if its scheme has no default port.

    Args:
        scheme: The scheme of the URL.
        host: As for `origin()`.
        port: None for the default port of the scheme.
    """
    port = DEFAULT_PORTS.get(scheme.lower()) if port is None else port
    return None if port is None else f"{origin('', host, None).removeprefix('://')}:{port}"


def _compressed(address: str) -> str:
    try:
        return ipaddress.IPv6Address(address).compressed
    except ValueError:  # an address with a zone, whose percent sign is encoded in a URL
        return address


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Return whether a body is a stream of events, which ends only when its reader stops reading."""
    return headers.get("content-type", "").strip().lower().startswith("text/event-stream")


def retry_after(headers: Mapping[str, str], longest: float | None) -> float | None:
    """Return the seconds to wait that a response asks for; None if it does not ask, or asks for no valid time.

    A date is compared with the `Date` of the response, so the two clocks need not agree; without a `Date`, with the
    local clock (RFC 9110, 10.2.3 and 6.6.1). A wait of zero and a date in the past count as no wait.

    Args:
        headers: The headers of the response, with names in any case.
        longest: The longest wait that is returned; None to return none.
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
        TypeError: The argument is no collection of integers.
        ValueError: One of the integers is no status.
    """
    wanted = "a collection of HTTP statuses from 100 to 599"
    found = tuple(statuses) if isinstance(statuses, Iterable) else None
    if found is None or not all(isinstance(status, int) and not isinstance(status, bool) for status in found):
        raise TypeError(f"{argument} must be {wanted}, not {statuses!r}")
    if not all(status in STATUSES for status in found):
        raise ValueError(f"{argument} must be {wanted}, not {statuses!r}")
    return frozenset(found)
