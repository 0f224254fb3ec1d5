"""Measures what `import recloser` costs, in fresh processes, and what a breaker costs the garbage collector."""

import gc
import os
import subprocess
import sys
import tempfile
from statistics import median

from recloser import BreakerRegistry

IMPORTS = 7
_SCRIPT = """
import asyncio, time
import anyio
async def nothing(): pass
asyncio.run(nothing())
started = time.process_time()
{}
print(1e3 * (time.process_time() - started))
"""
IMPORT = "import recloser"
FIRST_CALL = """
from recloser import BreakerRegistry
asyncio.run(BreakerRegistry().breaker("payments").call(nothing))
"""


def milliseconds(script: str) -> float:
    """Returns the CPU time of a script in a process that has imported asyncio and anyio, the median of some processes.

    All modules have been compiled before.

    Args:
        script: The lines to time.
    """
    with tempfile.TemporaryDirectory() as compiled:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = compiled
        times = [_once(_SCRIPT.format(script), environment) for _ in range(1 + IMPORTS)]
    return median(times[1:])


def _once(script: str, environment: dict[str, str]) -> float:
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def tracked_per_breaker(breakers: int) -> float:
    """Returns how many objects of a breaker of a registry the garbage collector tracks.

    Args:
        breakers: How many breakers to create.
    """
    registry = BreakerRegistry(max_breakers=breakers + 1)
    registry.breaker("first")
    names = [f"breaker {number}" for number in range(breakers)]
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for name in names:
            registry.breaker(name)
        return round((len(gc.get_objects()) - before) / breakers, 1)
    finally:
        gc.enable()
