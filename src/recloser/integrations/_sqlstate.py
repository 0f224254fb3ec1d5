"""How errors of PostgreSQL are classified, by SQLSTATE and severity (PostgreSQL manual, appendix A).

An error that the server sends is an answer: wrong queries, violated constraints, deadlocks and refused logins do not
mean that the server is unhealthy. These are failures:

- Class 08, unless the server sends it with severity ERROR: then another connection failed (dblink, foreign tables), or
  a message had the wrong number of parameters (08P01). Drivers make 08003 and 08006 themselves, without a severity,
  when they lose the connection.
- An exhausted resource (53000, 53100 disk, 53200 memory, 53300 connections), a server that shuts down, crashes or
  starts (57P01 to 57P04), an I/O error of its own files (58000, 58030), corrupt data (XX001, XX002).
- Any error that ends the session (FATAL, PANIC), unless it is about the login or the session itself: classes 22, 25,
  28, 3D, 40, 42, and 57P05, a session that was idle for too long.

These look like outages, but are none: XX000, which built-in functions raise for wrong arguments and PostGIS for invalid
geometries; 58P01 and 58P02, a file named in a COPY; 53400, a limit that the query itself exceeds.

57014 is ignored: the query was cancelled, by its caller or by a timeout that was set for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from recloser.events import Outcome

OUTAGES = frozenset(
    {"53000", "53100", "53200", "53300", "57P01", "57P02", "57P03", "57P04", "58000", "58030", "XX001", "XX002"}
)
CONNECTION_EXCEPTIONS = "08"
QUERY_CANCELED = "57014"
ENDS_A_SESSION = frozenset({"FATAL", "PANIC"})
NO_OUTAGE_CLASSES = frozenset({"22", "25", "28", "3D", "40", "42"})
IDLE_SESSION_TIMEOUT = "57P05"

_CODE = re.compile(r"[0-9A-Z]{2}(?:[0-9A-Z]{3})?")


def classify_sqlstate(sqlstate: str, severity: str | None, failures: frozenset[str]) -> Outcome:
    """Classify an error of the server.

    Args:
        sqlstate: Five characters.
        severity: In English; None if the driver made the error, or does not provide it.
        failures: Further codes, and classes of two characters, that are failures.
    """
    kind = sqlstate[:2]
    if sqlstate in failures or kind in failures:
        return Outcome.FAILURE
    if sqlstate == QUERY_CANCELED:
        return Outcome.IGNORED
    return Outcome.FAILURE if _is_outage(sqlstate, kind, severity) else Outcome.SUCCESS


def _is_outage(sqlstate: str, kind: str, severity: str | None) -> bool:
    if kind == CONNECTION_EXCEPTIONS:
        return severity != "ERROR"
    if sqlstate in OUTAGES:
        return True
    return severity in ENDS_A_SESSION and kind not in NO_OUTAGE_CLASSES and sqlstate != IDLE_SESSION_TIMEOUT


def severity_of(exc: BaseException) -> str | None:
    """Return the severity of an error of asyncpg or psycopg, in English whatever the language of the server."""
    diagnostic = getattr(exc, "diag", None)
    severity: str | None = getattr(exc, "severity_en", None) or getattr(diagnostic, "severity_nonlocalized", None)
    return severity


def checked_sqlstates(argument: str, codes: object) -> frozenset[str]:
    """Return a set of SQLSTATEs and classes of SQLSTATEs.

    Raises:
        TypeError: The argument is no collection of strings.
        ValueError: One of the strings is neither an SQLSTATE nor a class.
    """
    if isinstance(codes, str) or not isinstance(codes, Iterable):
        raise TypeError(f"{argument} must be a collection of SQLSTATEs, not {codes!r}")
    found = list(codes)
    for code in found:
        if not isinstance(code, str):
            raise TypeError(f"{argument} must be a collection of SQLSTATEs, not of {code!r}")
        if _CODE.fullmatch(code) is None:
            raise ValueError(
                f"{argument} must be SQLSTATEs such as '57014', or classes of them such as '57', not {code!r}"
            )
    return frozenset(found)
