"""What an exception tells about its cause without its message: facts that are no secret, whatever its type.

The message of an exception may quote an address with a key, a statement with its values, or what a peer has sent. Codes
can't: the name of an errno, the resolver's code, why TLS failed, an SQLSTATE, an HTTP status, the limit that ran out.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from recloser._core.http_status import attribute, grpc_status, http_status

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CAUSES = 16
"""How many exceptions of a chain are looked at."""
MOST_TEXT = 1000
"""How much of a message is searched for codes, in characters."""
OF_CONNECTIONS = (
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EPIPE,
)
LIMITS = {"ConnectTimeout": "connect", "ReadTimeout": "read", "WriteTimeout": "write", "PoolTimeout": "pool"}
"""The limits of httpx, by the exception that each raises."""


def fact_of(exc: BaseException) -> str | None:
    """Return what an exception tells about its cause; None if it has nothing but a message.

    Raises:
        Exception: Whatever a foreign exception raises while it is inspected.
    """
    if isinstance(exc, OSError) and (fact := _of_system(exc)) is not None:
        return fact
    if is_bare(exc):
        return None
    if (code := database_code(exc)) is not None:
        return code
    if (name := grpc_status(exc)) is not None:
        return name
    if (status := http_status(exc)) is not None:
        return status_text(status)
    return _of_limit(exc)


def is_bare(exc: BaseException) -> bool:
    """Return whether an exception is one of Python's own that nothing led to and nothing was added to."""
    if type(exc).__module__ != "builtins" or isinstance(exc, BaseExceptionGroup):
        return False
    return exc.__cause__ is None and exc.__context__ is None and not exc.__dict__


def status_text(status: int) -> str:
    """Return an HTTP status and its standard phrase, which need not be the one that the peer has sent."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def database_code(exc: BaseException) -> str | None:
    """Return the code of a database's error: its SQLSTATE, or the name that SQLite has for it."""
    wrapped = attribute(exc, "orig")  # SQLAlchemy wraps the error of the driver, and that of an asynchronous one twice
    for error in (exc,) if wrapped is None else (exc, wrapped, attribute(wrapped, "__cause__")):
        sqlstate = attribute(error, "sqlstate") or attribute(error, "pgcode")
        if isinstance(sqlstate, str) and re.fullmatch(r"[0-9A-Z]{5}", sqlstate):
            return f"SQLSTATE {sqlstate}"
        name = attribute(error, "sqlite_errorname")
        if isinstance(name, str) and re.fullmatch(r"SQLITE_[A-Z_]{1,40}", name):
            return name
    return _of_words(str(exc)[:MOST_TEXT]) if is_of_database(exc) else None


def _of_words(message: str) -> str | None:
    """Return what a message of psycopg or of its pool is about, where they have nothing but words."""
    waited = re.search(r"get a connection after ([\d.]{1,9}) sec", message)
    if waited is not None:
        return f"pool timeout of {float(waited[1]):g} s"
    return next((errno.errorcode[number] for number in OF_CONNECTIONS if os.strerror(number) in message), None)


def is_of_database(exc: BaseException) -> bool:
    """Return whether an exception is of a kind that quotes statements, rows and addresses, though it has no code."""
    return any(hasattr(type(exc), name) for name in ("sqlstate", "pgcode")) or hasattr(exc, "orig")


def chain_of(exc: BaseException) -> Iterator[BaseException]:
    """Iterate over an exception and what it was raised from, the nearest first.

    Clients raise an exception of their own while they handle another one, and some hide that with `from None`. So the
    context counts as a cause as well, if the handler is a part of the call. Otherwise the caller was handling it.
    """
    seen = set[int]()
    found: BaseException | None = exc
    while found is not None and id(found) not in seen and len(seen) < MOST_CAUSES:
        yield found
        seen.add(id(found))
        found = found.__cause__ or _handled_inside(found)


def _handled_inside(exc: BaseException) -> BaseException | None:
    """Return the exception in whose handler an exception was raised, if it passed through that handler's frame."""
    handled, step = exc.__context__, exc.__traceback__
    caught_in = None if handled is None or handled.__traceback__ is None else handled.__traceback__.tb_frame
    while step is not None and caught_in is not None:
        if step.tb_frame is caught_in:
            return handled
        step = step.tb_next
    return None


def _of_system(exc: OSError) -> str | None:
    """Return what an error of the operating system, of the resolver or of TLS is about."""
    verify_code = attribute(exc, "verify_code")
    if isinstance(verify_code, int) and not isinstance(verify_code, bool):
        return f"certificate refused, code {verify_code}{_reason_of(attribute(exc, 'verify_message'))}"
    socket, ssl = sys.modules.get("socket"), sys.modules.get("ssl")
    if ssl is not None and isinstance(exc, ssl.SSLError):
        reason = attribute(exc, "reason")
        known = isinstance(reason, str) and re.fullmatch(r"[A-Z0-9_]{1,60}", reason)
        return f"TLS {reason}" if known else None
    if socket is not None and isinstance(exc, (socket.gaierror, socket.herror)):
        return _resolver_codes().get(exc.errno or 0)
    if exc.errno is not None:
        return errno.errorcode.get(exc.errno)
    # asyncio joins the messages of all addresses that it has tried
    found = dict.fromkeys(re.findall(r"\[Errno (\d{1,5})\]", str(exc)[:MOST_TEXT]))
    names = [errno.errorcode[int(number)] for number in found if int(number) in errno.errorcode]
    return ", ".join(names) or None


def _reason_of(verify_message: object) -> str:
    """Return why OpenSSL refuses a certificate; after a comma it would name the host."""
    if not isinstance(verify_message, str):
        return ""
    reason = verify_message.partition(",")[0]
    return f": {reason}" if re.fullmatch(r"[A-Za-z0-9 ()-]{1,60}", reason) else ""


def _of_limit(exc: BaseException) -> str | None:
    """Return which limit of an HTTP client ran out, and how long it was."""
    limit = LIMITS.get(type(exc).__name__)
    extensions = attribute(attribute(exc, "request"), "extensions")
    limits = extensions.get("timeout") if isinstance(extensions, dict) else None
    seconds = limits.get(limit) if limit is not None and isinstance(limits, dict) else None
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return f"{limit} timeout of {seconds:g} s" if is_number else None


@cache
def _resolver_codes() -> dict[int, str]:
    """Return the names of the resolver's codes."""
    names = vars(sys.modules["socket"])
    return {code: name for name, code in sorted(names.items(), reverse=True) if name.startswith("EAI_")}
