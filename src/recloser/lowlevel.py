"""Building blocks for code that extends recloser, such as an integration of your own.

`checks` validates arguments and `leaves()` walks through exception groups, both as recloser does it itself. `publish()`
makes a package the public home of the names that it re-exports.
"""

from recloser._core import checks
from recloser._core.homes import publish
from recloser._core.outcomes import leaves

__all__ = ["checks", "leaves", "publish"]

publish(globals())
