"""The figures of many breakers are measured and printed; a page quotes them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("options", [["--rule", "time"], ["--paused"]])
def test_many_breakers_are_measured(options: list[str]) -> None:
    command = [sys.executable, "-m", "benchmarks.many_breakers", "--breakers", "1000", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1,000 breakers" in done.stdout
    assert "a full collection after gc.freeze():" in done.stdout
