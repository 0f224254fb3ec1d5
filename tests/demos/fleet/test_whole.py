"""`python -m demos.fleet` from the command to its end: real processes, a real Redis that is killed, a real upstream."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.server import executable

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "demos.fleet", "--fast"]
WORKERS = 3


def started(*arguments: str, **options: object) -> subprocess.Popen[str]:
    """Starts a demo that finds a redis-server."""
    path = os.pathsep.join([str(Path(executable()).parent), os.environ["PATH"]])
    options["env"] = {**os.environ, "PATH": path, **options.get("env", {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*COMMAND, *arguments], text=True, cwd=ROOT, **pipes, **options)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a whole run prints that ends with 0 and leaves no file behind."""
    temporary = tmp_path_factory.mktemp("temporary")
    with started(str(WORKERS), env={"TMPDIR": str(temporary)}) as demo:
        printed, errors = demo.communicate(timeout=300)
    assert (demo.returncode, errors) == (0, ""), printed
    assert list(temporary.iterdir()) == []
    return printed


@pytest.fixture(scope="module")
def acts(output: str) -> list[str]:
    return re.split(r"^\d\. .*\n", output, flags=re.MULTILINE)[1:]


def test_every_act_is_played(acts: list[str]) -> None:
    assert len(acts) == 7
    assert acts[-1].endswith("Everything was as expected.\n")


def test_one_workers_evidence_opens_its_own_breaker_only(acts: list[str]) -> None:
    assert "only its own breaker opened: the failures of one worker are not a quorum" in acts[1]


def test_all_open_long_before_each_has_met_the_outage_alone(acts: list[str]) -> None:
    found = re.search(r"after (\d+) failed requests all (\d) breakers opened within ", acts[2])
    assert found is not None
    assert int(found[2]) == WORKERS
    assert int(found[1]) >= 2 * 5 - 1


def test_one_request_per_reset_timeout_reaches_what_is_down(acts: list[str]) -> None:
    found = re.search(r"(\d) requests in as many reset timeouts of 0.6 s, by .*; at least (\S+) s apart", acts[3])
    assert found is not None
    assert int(found[1]) >= 3
    assert float(found[2]) >= 0.54


@pytest.mark.parametrize("act", [4, 6])
def test_one_request_closes_all(acts: list[str], act: int) -> None:
    assert f"1 request succeeded, and all {WORKERS} breakers closed within " in acts[act]


def test_without_redis_each_worker_tries_by_itself(acts: list[str]) -> None:
    assert "without Redis all calls go on, and each breaker decides alone" in acts[5]
    assert f"requests of {WORKERS} workers, spread over " in acts[5]


def test_it_ends_with_what_was_counted_at_the_upstream(output: str) -> None:
    assert "\x1b" not in output
    counted = re.findall(r"│ (\d) +│ (\d+): (.*?) +│", output)
    assert [number for number, _, _ in counted] == list("1234567")
    for _, total, by_worker in counted:
        assert sum(int(count) for count in re.findall(r"worker-\d (\d+)", by_worker)) == int(total)


def children(pid: int) -> set[int]:
    """Returns the processes that a process has started."""
    return {
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    }


def test_ctrl_c_ends_all_processes() -> None:
    with started(str(WORKERS), start_new_session=True) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        while "all breakers are closed" not in demo.stdout.readline():
            pass
        born = children(demo.pid)
        os.killpg(demo.pid, signal.SIGINT)
        errors = demo.stderr.read()
    assert len(born) >= WORKERS + 1  # and Redis
    assert (demo.returncode, errors) == (130, "Interrupted.\n")
    assert not [pid for pid in born if Path(f"/proc/{pid}").exists()]


def test_a_worker_that_dies_ends_the_demo_with_its_number() -> None:
    with started(str(WORKERS)) as demo:
        assert demo.stdout is not None
        while "1. Everything works" not in demo.stdout.readline():
            pass
        victims = [
            pid for pid in children(demo.pid) if b"demos.fleet.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(victims[-1], signal.SIGKILL)
        printed = demo.stdout.read()
    assert demo.returncode == 1
    assert re.search(r"PROBLEM: The demo ended early: worker \d ended early, with exit code -9\.", printed)
