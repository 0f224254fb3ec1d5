"""Rule 4: a process that was stopped, as a starved one is, blames no dependency."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

STOPS = 3
STOPPED_SECONDS = 0.6
RUNNING_SECONDS = 0.5
ATTEMPTS = 4
"""On a loaded machine a process gets its signals at odd moments."""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no SIGSTOP")


@pytest.mark.parametrize("event_loop", ["asyncio", "uvloop", "trio"])
def test_rule_4_a_process_that_was_stopped_blames_no_dependency(event_loop: str) -> None:
    pytest.importorskip(event_loop)
    for _ in range(ATTEMPTS):
        found = stop_and_continue(event_loop)
        if all(each["stalled_total"] > 0 and each["failure_total"] == 0 for each in found.values()):
            break
    for each in found.values():
        assert (each["state"], each["failure_total"]) == ("closed", 0)
        assert each["success_total"] > 0
        assert each["stalled_total"] > 0


def stop_and_continue(event_loop: str) -> dict[str, Any]:
    """Runs a process that is stopped and continued; returns the health of its breakers."""
    command = [sys.executable, "-m", "tests.rules.stopped", event_loop]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "running\n"
            for _ in range(STOPS):
                process.send_signal(signal.SIGSTOP)
                time.sleep(STOPPED_SECONDS)
                process.send_signal(signal.SIGCONT)
                time.sleep(RUNNING_SECONDS)
            print(file=process.stdin, flush=True)
            health: dict[str, Any] = json.loads(process.stdout.read())
        finally:
            process.kill()
    return health
