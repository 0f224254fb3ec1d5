"""The benchmarks run, and print what they promise; their figures are nobody's test."""

import re
import subprocess
import sys
from pathlib import Path

from benchmarks import peers

ROOT = Path(__file__).parents[2]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_quick_run_measures_every_bar() -> None:
    done = _run("--quick", "--no-peers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Not measured" not in done.stdout
    assert "| recloser" in done.stdout
    assert "closed, success, decorator" in done.stdout
    assert "left behind by a rejected call" in done.stdout


def test_a_missing_library_is_named_and_stops_nothing() -> None:
    found = peers.find()
    distributions = {contender.distribution.replace("-", "_") for contender in found.present}
    assert distributions | {name for name, _ in found.absent} == set(peers.ADAPTERS)
    assert all("No module named" in reason for _, reason in found.absent)


def test_a_run_has_several_processes_and_says_how_far_they_differ() -> None:
    done = _run("--quick", "--only", "open")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "process 2 of 2" in done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("| floor: rejection "))
    assert re.search(r"\| +[\d,]+ \| +[\d,]+ - [\d,]+ \|", row), row


def test_an_unknown_group_is_refused_by_name() -> None:
    done = _run("--only", "closed,opne")  # codespell:ignore
    assert done.returncode == 2
    assert "opne" in done.stderr  # codespell:ignore


def test_the_profile_counts_what_a_call_executes() -> None:
    done = _run("--profile")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "floor, decorator" in done.stdout
    assert "instructions" in done.stdout


def test_a_partial_run_is_not_written() -> None:
    done = _run("--only", "closed", "--write")
    assert done.returncode == 2
    assert "full run" in done.stderr
