"""The command line of the benchmarks."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmarks import profile_closed, readme, tables
from benchmarks.job import GROUPS
from benchmarks.run import Options, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks, prints the tables, and returns whether everything could be measured.

    Args:
        arguments: The arguments of the command line.

    Returns:
        0, or 1 if something could not be measured; a missed bar is not an error.
    """
    parser = _parser()
    chosen = parser.parse_args(arguments)
    logging.getLogger("recloser").addHandler(logging.NullHandler())
    if chosen.profile:
        print(asyncio.run(profile_closed.report()))
        return 0
    if chosen.render:
        readme.render()
        return 0
    options = _options(parser, chosen)
    results = run(options)
    print(tables.text(results))
    if chosen.write:
        readme.write(results)
    return 1 if any(each.errors for each in results.pythons) else 0


def _parser() -> argparse.ArgumentParser:
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="GROUP,...", help=f"measure only these: {', '.join(GROUPS)}")
    parser.add_argument("--processes", type=int, default=default.processes, help="how many processes measure the same")
    parser.add_argument("--rounds", type=int, default=default.rounds, help="how often each process times each subject")
    parser.add_argument("--no-peers", action="store_true", help="leave the other libraries out")
    parser.add_argument("--pythons", action="store_true", help="measure on every other Python that is found, too")
    parser.add_argument("--quick", action="store_true", help="only check that everything runs, in a few seconds")
    parser.add_argument(
        "--write", action="store_true", help="measure on every Python, and write all that quotes figures"
    )
    parser.add_argument("--render", action="store_true", help="write that again from results.json, and measure nothing")
    parser.add_argument("--profile", action="store_true", help="show what a closed call executes, and measure nothing")
    return parser


def _options(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> Options:
    if chosen.write and (chosen.only or chosen.quick or chosen.no_peers):
        parser.error("--write needs a full run")
    groups = tuple(chosen.only.split(",")) if chosen.only else GROUPS
    if unknown := set(groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    if chosen.no_peers:
        groups = tuple(group for group in groups if group != "libraries")
    options = Options(groups, with_pythons=chosen.pythons or chosen.write)
    if chosen.quick:
        return options.quick()
    if chosen.processes < 1 or chosen.rounds < 1:
        parser.error("--processes and --rounds must be at least 1")
    return replace(options, processes=chosen.processes, rounds=chosen.rounds)


if __name__ == "__main__":
    sys.exit(main())
