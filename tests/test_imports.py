"""What is needed by few programs is imported when it is used, and not together with the root or the first breaker."""

import subprocess
import sys

import pytest

OF_A_CONFIGURATION = {
    "difflib",
    "json",
    "pathlib",
    "pkgutil",
    "recloser._registry.config",
    "recloser._registry.findings",
    "recloser._registry.lint",
    "recloser._registry.origin",
    "recloser._registry.tables",
    "tomllib",
}
OF_OTHER_PACKAGES = {
    "recloser._assets",
    "recloser._fallback",
    "recloser._policies",
    "recloser.cli",
    "recloser.dashboard",
    "recloser.fleet",
    "recloser.integrations",
    "recloser.lowlevel",
    "recloser.registry",
    "recloser.telemetry",
    "recloser.testing",
}
OF_OTHER_RULES = {"recloser._core.backoff", "recloser._core.trip"}
OF_A_FLEET = {"recloser._breaker.fleet_port", "recloser._core.fleet"}
OF_FEW_CALLS = {"anyio.lowlevel", "hashlib", "ipaddress", "numbers"}
DEFERRED = OF_A_CONFIGURATION | OF_OTHER_RULES | OF_A_FLEET | OF_OTHER_PACKAGES | OF_FEW_CALLS

BASELINE = """
import asyncio, sys
import anyio
async def answer(): pass
asyncio.run(answer())
print(*sys.modules)
"""


def imported_by(script: str) -> set[str]:
    """Returns what a script imports in a fresh interpreter, beyond asyncio and anyio."""
    return _modules(BASELINE.replace("print", script + "\nprint")) - _modules(BASELINE)


def _modules(script: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_root_imports_nothing_that_few_programs_need() -> None:
    found = imported_by("import recloser")
    assert "recloser._breaker.engine" in found
    assert found & (DEFERRED | {"recloser._registry"}) == set()


def test_the_first_breaker_and_its_first_calls_import_nothing_more() -> None:
    use = """
from recloser import CircuitBreaker
before = set(sys.modules)
breaker = CircuitBreaker("payments", failure_threshold=3, reset_timeout_seconds=30)
@breaker
async def fail(): raise OSError
async def use():
    await breaker.call(answer)
    async with breaker.guard():
        await answer()
    try:
        await fail()
    except OSError:
        pass
asyncio.run(use())
assert set(sys.modules) == before, set(sys.modules) - before
"""
    assert imported_by(use) & DEFERRED == set()


def test_a_registry_without_a_configuration_imports_nothing_that_reads_one() -> None:
    use = """
from recloser import BreakerRegistry
registry = BreakerRegistry(failure_threshold=3)
@registry.per_key("web", key=lambda: "a.example")
async def fetch(): pass
asyncio.run(registry.breaker("payments").call(answer))
asyncio.run(fetch())
registry.health()
"""
    assert imported_by(use) & DEFERRED == set()


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("recloser._registry.config", "from recloser import BreakerRegistry; BreakerRegistry.from_config({})"),
        ("recloser._registry.lint", "from recloser import BreakerRegistry; BreakerRegistry().lint()"),
        ("recloser._fallback", "from recloser import Fallback"),
        ("recloser._policies", "from recloser import Timeout"),
    ],
)
def test_what_is_deferred_comes_with_its_first_use(module: str, use: str) -> None:
    assert module in imported_by(use.replace("; ", "\n"))
