"""`python -m demos.dashboard` as users start it: a process, looked at over HTTP, ended by Ctrl-C."""

import errno
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from demos.dashboard import __main__ as command

ROOT = Path(__file__).parents[3]
_PATIENCE_SECONDS = 60.0
_TRANSITION = re.compile(r"\d\d:\d\d:\d\d  (\S+): (\w+) -> (\w+): .+")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command.main, arguments)


@contextmanager
def started(*arguments: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Starts the demo on a free port; yields the process and the URL that it prints."""
    program = [sys.executable, "-m", "demos.dashboard", "--port", "0", *arguments]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("The dashboard is at ").strip()
            assert process.stdout.readline() == f"In a terminal: recloser top {url}\n"
            yield process, url
        finally:
            process.kill()


def test_an_outage_is_seen_over_http_and_ctrl_c_ends_the_demo() -> None:
    with started("--fast") as (process, url), httpx.Client(base_url=url, trust_env=False) as client:
        assert "Circuit breakers" in client.get("").text
        assert client.post("control").status_code == 404
        assert process.stdout is not None
        wanted = [("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")]
        for line in process.stdout:
            told = _TRANSITION.fullmatch(line.rstrip("\n"))
            assert told or line in {"Ctrl-C ends it.\n", "\n"}
            if told and told[1] == "orders" and (told[2], told[3]) in wanted:
                wanted.remove((told[2], told[3]))
            if not wanted:
                break
        document = client.get("status.json").json()
        assert set(document["breakers"]) == {"orders", "search", "payments", "recommendations"}
        assert document["breakers"]["orders"]["rejected_total"] > 0
        assert document["breakers"]["payments"]["success_total"] > 0
        assert document["dashboard"]["interval_seconds"] == 0.2
        with client.stream("GET", "events") as events:  # a page that is open does not hold it up
            next(events.iter_raw())
            process.send_signal(signal.SIGINT)
            assert process.wait(_PATIENCE_SECONDS) == 130


def test_control_takes_the_token_that_is_printed() -> None:
    with started("--control") as (process, url), httpx.Client(base_url=url, trust_env=False) as client:
        assert process.stdout is not None
        token = process.stdout.readline().removeprefix("The control token is ").strip()
        order = {"breaker": "payments", "action": "force_open", "reason": "try it", "author": "me"}
        assert client.post("control", json=order).status_code == 401
        answer = client.post("control", json=order, headers={"Authorization": f"Bearer {token}"})
        assert answer.json() == {"breaker": "payments", "state": "forced_open"}
        assert client.get("status.json").json()["dashboard"]["interval_seconds"] == 1.0
        process.send_signal(signal.SIGINT)
        assert process.wait(_PATIENCE_SECONDS) == 130


def test_a_reader_that_is_gone_ends_it_quietly() -> None:
    with started("--fast") as (process, _):
        assert process.stdout is not None
        assert process.stderr is not None
        while process.stdout.readline() != "\n":
            continue
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(_PATIENCE_SECONDS) == 1


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = invoke("--port", str(port))
    assert result.exit_code == 1
    assert result.output == f"Error: port {port} on 127.0.0.1 cannot be used: Address already in use\n"


def test_a_bad_port_is_named_with_what_would_be_good() -> None:
    result = invoke("--port", "70000")
    assert result.exit_code == 2
    assert "Invalid value for '--port': 70000 is not in the range 0<=x<=65535." in result.output


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(errno.EPIPE, "x"), 1)])
def test_ctrl_c_and_a_closed_pipe_are_not_errors(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def perform(**_: object) -> None:
        raise error

    monkeypatch.setattr(command, "perform", perform)
    result = invoke()
    assert result.exit_code == code
    assert "Error" not in result.output
