"""Building blocks for code that extends recloser, such as an integration of your own.

`checks` validates arguments, `slots` looks at functions that are called and not awaited, `leaves()` walks through
exception groups, and `causes()` through what led to an exception, all as recloser does it itself. `publish()` makes a
package the public home of the names that it re-exports.
"""

from recloser._core import checks, slots
from recloser._core.homes import publish
from recloser._core.outcomes import causes, leaves

__all__ = ["causes", "checks", "leaves", "publish", "slots"]

publish(globals())
