import errno
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recloser.cli.app import app
from recloser.cli.demo import perform as module
from recloser.cli.demo.upstream import HOST


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["demo", *arguments], prog_name="recloser")


def process(*arguments: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "recloser", "demo", *arguments]
    return subprocess.Popen(command, text=True, **options)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--callers", "0"], "Invalid value for '--callers': 0 is not in the range 5<=x<=500."),
        (["--port", "70000"], "Invalid value for '--port': 70000 is not in the range 0<=x<=65535."),
        (["--seed", "x"], "Invalid value for '--seed': 'x' is not a valid integer."),
        (["--backend", "twisted"], "Invalid value for '--backend': 'twisted' is not one of 'asyncio', 'trio'."),
        (
            ["--timeline", "timeline.txt"],
            "Invalid value for '--timeline': timeline.txt ends neither in .svg nor in .png",
        ),
        (["--timeline", "no/where.svg"], "Invalid value for '--timeline': there is no directory no"),
    ],
)
def test_a_bad_option_is_named_with_what_would_be_good(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["--dashboard"], "python3 dev.py demo --dashboard"),
        (["--fast", "--mcp", "--plain"], "python3 dev.py demo --mcp"),
        (["--fleet"], "python3 dev.py demo --fleet 4"),
        (["--fleet", "3", "--fast"], "python3 dev.py demo --fleet 3"),
        (["--fleet=3"], "python3 dev.py demo --fleet 3"),
    ],
)
def test_a_demo_that_is_not_in_the_wheel_is_refused_with_the_command_that_starts_it(
    arguments: list[str], command: str
) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.output.endswith(f"In a clone of the repository, run: {command}\n")


@pytest.mark.parametrize("library", ["cachetools", "h11", "httpx", "matplotlib", "rich", "trio"])
def test_without_a_library_the_message_names_the_extra(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith((f"{library}.", "recloser.cli.demo.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    backend, extra = ("trio", "trio") if library == "trio" else ("asyncio", "demo")
    result = invoke("--backend", backend)
    assert result.exit_code == 3
    assert result.output == f"Error: {library} is not installed; this needs: pip install 'recloser[{extra}]'\n"


def test_a_taken_port_ends_it_with_a_message(taken_port: int) -> None:
    result = invoke("--port", str(taken_port))
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: port {taken_port} on 127.0.0.1 cannot be used: ")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
        (PermissionError(errno.EACCES, "Permission denied", "timeline.svg"), 1, "Permission denied: 'timeline.svg'\n"),
    ],
    ids=["Ctrl-C", "reader gone", "not allowed"],
)
def test_what_ends_it_early_is_a_short_message_and_an_exit_code(
    error: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def perform(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(module, "perform", perform)
    result = invoke()
    assert result.exit_code == code
    assert result.output.endswith(message)
    assert len(result.output.splitlines()) <= 1


def test_into_a_pipe_it_writes_plain_lines_and_then_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "timeline.svg"
    arguments = ["--fast", "--callers", "20", "--timeline", str(path)]
    with process(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        output, errors = demo.communicate(timeout=120)
    assert (demo.returncode, errors) == (0, "")
    assert "\x1b" not in output
    assert "breaker: half_open -> closed" in output
    assert "20 callers with a breaker, 20 without" in output
    assert path.read_text(encoding="utf-8").startswith("<?xml")


def test_it_ends_quietly_when_nobody_reads_on() -> None:
    with process(stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.readline()
        demo.stdout.close()
        errors = demo.stderr.read()
    assert (demo.returncode, errors) == (1, "")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_ends_it_at_once_without_a_traceback(backend: str) -> None:
    with process("--backend", backend, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        assert "listening" in demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        errors = demo.stderr.read()
    assert (demo.returncode, errors) == (130, "Interrupted.\n")


def test_on_a_terminal_it_draws_a_live_table() -> None:
    ours, theirs = pty.openpty()
    with process("--fast", "--callers", "20", "--no-timeline", stdin=theirs, stdout=theirs, stderr=theirs) as demo:
        os.close(theirs)
        output = b"".join(iter(lambda: read(ours), b"")).decode()
        demo.wait(timeout=120)
    os.close(ours)
    assert demo.returncode == 0
    for badge in (" CLOSED ", " OPEN ", " HALF_OPEN "):
        assert badge in output
    assert "\x1b[?25h" in output


def read(terminal: int) -> bytes:
    """Return what the other side has written; Linux says EIO when it is gone, others say nothing."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
