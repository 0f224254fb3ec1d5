"""`python -m demos.mcp` from the command to its end: real processes, and dependencies that really fail."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "demos.mcp"]
PHASES = ["healthy", "failing", "open", "recovering", "healthy again"]
TOOLS = {
    "call_external_api",
    "query_database",
    "get_user_with_fallback",
    "get_data_with_multiple_fallbacks",
}
DEPENDENCIES = {"external_api": "api", "users": "users", "primary": "primary", "secondary": "secondary"}
BREAKERS = [*DEPENDENCIES, "database"]


def started(*arguments: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *arguments], text=True, cwd=ROOT, **options)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a whole run prints that ends with 0 and leaves no file behind."""
    temporary = tmp_path_factory.mktemp("temporary")
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with started(stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as demo:
        printed, errors = demo.communicate(timeout=120)
    assert (demo.returncode, errors) == (0, ""), printed
    assert list(temporary.iterdir()) == []
    return printed


@pytest.fixture(scope="module")
def phases(output: str) -> dict[str, str]:
    parts = re.split(r"^\d\. ([\w ]+): .*\n", output, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def reached(text: str, dependency: str) -> int:
    """Sums up what has reached a dependency."""
    said = re.findall(r"^ +reached the dependencies: (.*)$", text, flags=re.MULTILINE)
    return sum(int(count) for count in re.findall(rf"\b{dependency} (\d+)", "\n".join(said)))


def test_every_tool_goes_through_every_phase(phases: dict[str, str]) -> None:
    assert list(phases) == PHASES
    for text in phases.values():
        assert set(re.findall(r"^  (\w+)\(", text, flags=re.MULTILINE)) == TOOLS


@pytest.mark.parametrize("breaker", BREAKERS)
def test_health_says_each_change_of_state_in_its_order(output: str, breaker: str) -> None:
    changes = ["closed -> open", "open -> half_open", "half_open -> closed"]
    assert re.findall(rf"\b{breaker} (\w+ -> \w+)", output) == changes


def test_nothing_reaches_what_is_down_once_the_breakers_are_open(phases: dict[str, str]) -> None:
    assert phases["open"].count("reached the dependencies: nothing") == 4
    assert phases["failing"].count("5 x error: API call failed: 503 Service Unavailable") == 1
    assert phases["failing"].count("10 x error: Query failed: file is not a database") == 1


def test_what_stands_in_is_seen(phases: dict[str, str]) -> None:
    text = phases["open"]
    assert re.search(r"x rejected: External service currently unavailable\. .* Retry in \d s\.", text)
    assert re.search(r"x rejected: Database temporarily unavailable\. .* Retry in \d s\.", text)
    assert "5 x rejected: All data sources unavailable." in text
    assert '5 x cached: [{"name": "Oslo", "inhabitants": 717710}]' in text
    assert '5 x cached: {"service": "users", "id": "7", "from_cache": true}' in text
    assert '5 x stand-in: {"id": "8", "status": "unavailable"' in text


@pytest.mark.parametrize("dependency", [*DEPENDENCIES.values(), "database"])
def test_exactly_one_call_reaches_each_dependency_as_it_recovers(phases: dict[str, str], dependency: str) -> None:
    assert reached(phases["recovering"], dependency) == 1


def test_the_client_waits_as_long_as_health_says(phases: dict[str, str]) -> None:
    said = re.search(r"when to retry, in seconds: (.*); so the client waits (\S+) s", phases["recovering"])
    assert said is not None
    times = re.findall(r"(\w+) (\d\.\d)", said[1])
    assert {name for name, _ in times} == set(BREAKERS)
    assert said[2] == max(time for _, time in times)


def test_it_ends_with_a_summary(output: str) -> None:
    assert "\x1b" not in output
    assert re.search(r"^ +open +40 +0 +15 +5 +0 +20 +0 *$", output, flags=re.MULTILINE)
    assert "Probes:  external_api 1, users 1, primary 1, secondary 1, database 1\n" in output
    assert output.endswith("Everything was as expected.\n")


def test_ctrl_c_ends_the_server_and_everything_else() -> None:
    with started(stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        first = demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        errors = demo.stderr.read()
    assert first == "an MCP server is running; the client calls it over stdio\n"
    assert (demo.returncode, errors) == (130, "Interrupted.\n")


def test_it_ends_quietly_when_nobody_reads_on() -> None:
    with started(stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.readline()
        demo.stdout.close()
        errors = demo.stderr.read()
    assert (demo.returncode, errors) == (1, "")


def test_on_a_terminal_states_have_colours() -> None:
    ours, theirs = pty.openpty()
    with started(stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as demo:
        os.close(theirs)
        printed = b"".join(iter(lambda: read(ours), b"")).decode()
        demo.wait(timeout=120)
    os.close(ours)
    assert demo.returncode == 0
    for badge in (" open ", " half_open ", " closed "):
        assert re.search(rf"\x1b\[7;3\dm{badge}\x1b\[0m", printed)


def read(terminal: int) -> bytes:
    """Return what the other side has written; Linux says EIO when it is gone, others say nothing."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
