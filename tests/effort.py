"""How much of what takes long is run: all of it in `nox -s soak` and, in CI, on the Pythons without the coverage gate.

The run that measures coverage takes a share: every line runs there, but each takes twice as long.
"""

import os

FULL = os.environ.get("RECLOSER_FULL") == "true"
