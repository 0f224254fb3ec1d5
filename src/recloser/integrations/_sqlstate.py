"""What PostgreSQL says about itself by an SQLSTATE and a severity (PostgreSQL manual, appendix A).

A server that answers "no" has answered: wrong queries, violated constraints, deadlocks and refused logins say nothing
about its health. An outage is:

- Class 08, unless the server sent it as an ERROR: then the connection that failed is another one (dblink, foreign
  tables), or a message had the wrong number of parameters (08P01). Drivers make 08003 and 08006 up without a severity
  when a connection is lost.
- A resource that has run out (53000, 53100 disk, 53200 memory, 53300 connections), a server that shuts down, crashes or
  starts (57P01 to 57P04), the I/O of its own files (58000, 58030), corrupt data (XX001, XX002).
- Whatever ends the session (FATAL, PANIC), unless that is about the login or the session itself: classes 22, 25, 28,
  3D, 40, 42, and 57P05, a session that was idle for too long.

No outage, though they look like one: XX000, which wrong arguments of built-in functions and bad geometries of PostGIS
raise; 58P01 and 58P02, a file that COPY names; 53400, a limit of the query's own.

57014 is ignored: the query was cancelled, by its caller or by a timeout that somebody thought right for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from recloser import Outcome

OUTAGES = frozenset(
    {"53000", "53100", "53200", "53300", "57P01", "57P02", "57P03", "57P04", "58000", "58030", "XX001", "XX002"}
)
CONNECTION_EXCEPTIONS = "08"
QUERY_CANCELED = "57014"
ENDS_A_SESSION = frozenset({"FATAL", "PANIC"})
NO_OUTAGE_CLASSES = frozenset({"22", "25", "28", "3D", "40", "42"})
IDLE_SESSION_TIMEOUT = "57P05"

_CODE = re.compile(r"[0-9A-Z]{2}(?:[0-9A-Z]{3})?")


def judge_sqlstate(sqlstate: str, severity: str | None, failures: frozenset[str]) -> Outcome:
    """Return what an error of the server means.

    Args:
        sqlstate: Five characters.
        severity: In English; None if the driver made the error, or does not tell.
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
    """Return the severity of an error of asyncpg or psycopg, in English whatever the server's language."""
    diagnostic = getattr(exc, "diag", None)
    severity: str | None = getattr(exc, "severity_en", None) or getattr(diagnostic, "severity_nonlocalized", None)
    return severity


def checked_sqlstates(argument: str, codes: object) -> frozenset[str]:
    """Return a set of SQLSTATEs and of their classes.

    Raises:
        TypeError: It is no collection of strings.
        ValueError: One of them is neither.
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
