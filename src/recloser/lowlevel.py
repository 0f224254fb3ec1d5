"""Building blocks for code that extends recloser, such as an integration of your own.

`checks` validates arguments, `slots` looks at functions that are called and not awaited, `leaves()` walks through
exception groups, `causes()` through what led to an exception, and `http_status()` reads the status of an exception, all
as recloser does it itself. `log_limit()` keeps a log short in which every call could write a line. `public_error()` is
what may be told of an error to anybody, and `hide_messages()` leaves no more than that in a breaker's health.
`publish()` makes a package the public home of the names that it re-exports.
"""

from recloser._breaker.error_text import public_error
from recloser._breaker.log import LogLimit, log_limit
from recloser._breaker.reading import hide_messages
from recloser._core import checks, slots
from recloser._core.homes import publish
from recloser._core.http_status import http_status
from recloser._core.outcomes import causes, leaves

__all__ = [
    "LogLimit",
    "causes",
    "checks",
    "hide_messages",
    "http_status",
    "leaves",
    "log_limit",
    "public_error",
    "publish",
    "slots",
]

publish(globals())
