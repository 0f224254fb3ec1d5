"""The command line of the benchmarks."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

from benchmarks import profile_closed, readme
from benchmarks.runner import GROUPS, Options, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks, prints the tables, and returns whether everything could be measured.

    Args:
        arguments: The arguments of the command line.

    Returns:
        0, or 1 if something could not be measured; a missed bar is not an error.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="GROUP,...", help=f"measure only these: {', '.join(GROUPS)}")
    parser.add_argument("--rounds", type=int, default=Options().rounds, help="how often each subject is timed")
    parser.add_argument("--no-peers", action="store_true", help="leave the other libraries out")
    parser.add_argument("--quick", action="store_true", help="only check that everything runs, in a few seconds")
    parser.add_argument("--write", action="store_true", help="write README.md in this package's directory")
    parser.add_argument("--profile", action="store_true", help="show what a closed call executes, and measure nothing")
    chosen = parser.parse_args(arguments)
    logging.getLogger("recloser").addHandler(logging.NullHandler())
    if chosen.profile:
        print(asyncio.run(profile_closed.report()))
        return 0
    if chosen.write and (chosen.only or chosen.quick or chosen.no_peers):
        parser.error("--write needs a full run")
    groups = tuple(chosen.only.split(",")) if chosen.only else GROUPS
    if unknown := set(groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    options = Options(groups=groups, rounds=chosen.rounds, with_peers=not chosen.no_peers)
    if chosen.quick:
        options = options.quick()
    results = asyncio.run(run(options))
    print(results.text())
    if chosen.write:
        readme.write(results, options)
    return 1 if results.errors else 0


if __name__ == "__main__":
    sys.exit(main())
