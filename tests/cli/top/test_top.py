"""`recloser top` as users start it: a process, in a pipe and on a terminal, before a real dashboard."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import anyio
import httpx
import pytest

from recloser import BreakerRegistry
from tests.cli.client.serving import served
from tests.dashboard.kit import trip

_PATIENCE_SECONDS = 60.0


class Output:
    """What a process writes to a file descriptor, as it comes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.text = ""

    def wait_for(self, found: Callable[[str], object]) -> str:
        """Returns all that has been written, once it is as it should be; after that it is forgotten."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not found(self.text):
            ready, _, _ = select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"not found in {self.text!r}"
            piece = os.read(self._descriptor, 65_536)
            assert piece, f"the output ended with {self.text!r}"
            self.text += piece.decode()
        text, self.text = self.text, ""
        return text


@contextmanager
def in_a_pipe(
    *arguments: str,
    **options: Any,  # noqa: ANN401 - those of Popen
) -> Generator[tuple[subprocess.Popen[bytes], Output]]:
    command = [sys.executable, "-m", "recloser", "top", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, **options) as process:
        assert process.stdout is not None
        try:
            yield process, Output(process.stdout.fileno())
        finally:
            process.kill()


@contextmanager
def on_a_terminal(*arguments: str, **variables: str) -> Generator[tuple[subprocess.Popen[bytes], Output]]:
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "90", "LINES": "20", **variables}
    command = [sys.executable, "-m", "recloser", "top", *arguments]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        try:
            yield process, Output(controller)
        finally:
            process.kill()
            process.wait()
            os.close(controller)


def line(pattern: str) -> Callable[[str], object]:
    return re.compile(rf"^\d\d:\d\d:\d\d  {pattern}$", re.MULTILINE).search


@pytest.fixture
def registry() -> BreakerRegistry:
    registry = BreakerRegistry(failure_threshold=1, reset_timeout_seconds=600)
    registry.breaker("search")
    return registry


def test_in_a_pipe_each_transition_is_a_line_also_after_the_server_was_started_again(registry: BreakerRegistry) -> None:
    with ExitStack() as stack:
        with served(registry) as url:
            process, output = stack.enter_context(in_a_pipe(url))
            output.wait_for(line("1 breaker: 1 closed"))
            anyio.run(trip, registry.breaker("search"))
            cause = r"1 consecutive failure \(threshold 1\); last error DownError"
            output.wait_for(line(f"search: closed -> open: {cause}"))
        output.wait_for(line(r"connection lost, last message at [\d:]+, trying again: .+"))
        with served(registry, httpx.URL(url).port or 0):
            shown = output.wait_for(line(r"search: open for \d+ s, probe in .+: 1 consecutive failure .+"))
            assert line("connected again")(shown)
            process.send_signal(signal.SIGINT)
            assert process.wait(_PATIENCE_SECONDS) == 130


def test_a_terminal_shows_the_breakers_and_is_given_back_by_ctrl_c(registry: BreakerRegistry) -> None:
    with served(registry) as url, on_a_terminal(url) as (process, output):
        shown = output.wait_for(lambda text: "search" in text and "live" in text)
        assert "\x1b[?1049h" in shown  # the other screen
        anyio.run(trip, registry.breaker("search"))
        shown = output.wait_for(lambda text: "closed -> open: 1 consecutive failure" in text)
        assert "Latest transitions" in shown
        assert "1 open" in shown
        assert "probe in" in shown
        process.send_signal(signal.SIGINT)
        output.wait_for(lambda text: "\x1b[?1049l" in text)
        assert process.wait(_PATIENCE_SECONDS) == 130


def test_a_terminal_is_given_back_to_whoever_ends_it_otherwise(registry: BreakerRegistry) -> None:
    with served(registry) as url, on_a_terminal(url) as (process, output):
        output.wait_for(lambda text: "live" in text)
        process.send_signal(signal.SIGTERM)
        output.wait_for(lambda text: "\x1b[?1049l" in text)
        assert process.wait(_PATIENCE_SECONDS) == 128 + signal.SIGTERM


def test_a_terminal_is_given_back_while_it_is_stopped(registry: BreakerRegistry) -> None:
    with served(registry) as url, on_a_terminal(url) as (process, output):
        output.wait_for(lambda text: "live" in text)
        process.send_signal(signal.SIGTSTP)
        output.wait_for(lambda text: "\x1b[?1049l" in text)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        output.wait_for(lambda text: "\x1b[?1049h" in text and "live" in text)
        process.send_signal(signal.SIGINT)
        output.wait_for(lambda text: "\x1b[?1049l" in text)
        assert process.wait(_PATIENCE_SECONDS) == 130


def test_a_terminal_that_can_only_write_lines_gets_lines(registry: BreakerRegistry) -> None:
    with served(registry) as url, on_a_terminal(url, TERM="dumb") as (_, output):
        assert "\x1b" not in output.wait_for(lambda text: "1 breaker: 1 closed" in text)


def test_a_pipe_gets_lines_also_where_colours_are_asked_for(registry: BreakerRegistry) -> None:
    environment = {**os.environ, "FORCE_COLOR": "1"}
    with served(registry) as url, in_a_pipe(url, env=environment) as (_, output):
        assert "\x1b" not in output.wait_for(lambda text: "1 breaker: 1 closed" in text)


def test_on_a_terminal_too_lines_can_be_had(registry: BreakerRegistry) -> None:
    with served(registry) as url, on_a_terminal(url, "--plain", "--filter", "sea") as (_, output):
        assert "\x1b" not in output.wait_for(lambda text: "1 breaker: 1 closed" in text)


def test_a_reader_that_has_had_enough_ends_it_quietly(registry: BreakerRegistry) -> None:
    with served(registry) as url, in_a_pipe(url, stderr=subprocess.PIPE) as (process, output):
        output.wait_for(line("1 breaker: 1 closed"))
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        anyio.run(trip, registry.breaker("search"))
        assert process.stderr.read() == b""
        assert process.wait(_PATIENCE_SECONDS) == 1


def test_it_ends_with_3_if_there_is_no_dashboard_in_the_first_place() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [sys.executable, "-m", "recloser", "top", f"127.0.0.1:{port}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == "Error: the dashboard can't be reached: All connection attempts failed\n"
