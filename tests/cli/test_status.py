import contextlib
import io
import json
import os
import socket
import subprocess
import sys

import anyio
import pytest
from click.testing import CliRunner, Result

from recloser import BreakerRegistry, CircuitBreaker
from recloser.cli.app import app
from recloser.cli.client.board import Board
from recloser.cli.client.breaker import Breaker
from recloser.cli.status import _overview, exit_code
from tests.cli.client.serving import served
from tests.dashboard.kit import DownError, fail


def status(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["status", *arguments], prog_name="recloser")


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry(failure_threshold=1, reset_timeout_seconds=600)


def trip(breaker: CircuitBreaker, message: str = "down") -> None:
    with pytest.raises(DownError):
        anyio.run(breaker.call, fail, message)


def test_the_exit_code_is_0_while_all_breakers_are_closed(registry: BreakerRegistry) -> None:
    with served(registry) as url:
        assert (status(url).exit_code, status(url).output) == (0, "No breakers yet.\n")
        registry.breaker("payments")
        registry.breaker("search")
        assert (status(url).exit_code, status(url).output) == (0, "All 2 breakers are closed.\n2 breakers: 2 closed\n")


def test_the_exit_code_is_1_if_a_breaker_is_open_and_it_says_which_are_not_closed_and_why(
    registry: BreakerRegistry,
) -> None:
    registry.breaker("search")
    trip(registry.breaker("payments"))
    registry.breaker("ledger").disable()
    registry.breaker("mail").force_open("the provider moves")
    with served(registry) as url:
        result = status(url)
    assert result.exit_code == 1
    sentence, since, *lines = result.output.splitlines()
    assert sentence == "payments is open: DownError."
    assert since.startswith("Since ")
    assert lines[0] == "4 breakers: 1 open, 1 forced open, 1 disabled, 1 closed"
    assert lines[1].startswith("payments: open for ")
    assert ", probe in 9 min " in lines[1] or lines[1].endswith("probe in 10 min")
    assert lines[2] == "    1 consecutive failure (threshold 1); last error DownError"
    assert lines[3].startswith("mail: forced open for ")
    assert lines[3].endswith(", rejects all calls until reset")
    assert lines[4] == "    forced open until reset: the provider moves"
    assert lines[5].endswith(", admits all calls until reset")
    assert lines[6:] == ["    disabled by hand; 0 failures counted"]


def test_the_exit_code_is_4_while_people_alone_keep_breakers_from_being_closed(registry: BreakerRegistry) -> None:
    registry.breaker("search")
    with served(registry) as url:
        registry.breaker("mail").force_open("the provider moves")
        assert status(url).exit_code == 4
        registry.breaker("ledger").disable()
        assert status(url).exit_code == 4
        trip(registry.breaker("payments"))
        assert status(url).exit_code == 1


def test_a_breaker_in_shadow_mode_is_shown_but_does_not_count(registry: BreakerRegistry) -> None:
    trip(registry.breaker("payments", shadow=True))
    trip(registry.breaker("payments"))
    registry.breaker("search", shadow=True)
    with served(registry) as url:
        result = status(url)
    assert result.exit_code == 0
    sentence, first, second, *_ = result.output.splitlines()
    assert sentence == "2 breakers in shadow mode."
    assert first == "2 breakers: 1 in shadow mode, 1 closed"
    assert second.startswith("payments: open for ")
    assert second.endswith(", shadow: rejects nothing, would have rejected 1 (1 failed, 0 succeeded)")


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["closed"], 0),
        (["closed", "half_open"], 1),
        (["a state of a later version"], 1),
        (["disabled", "closed"], 4),
        (["forced_open"], 4),
        (["forced_open", "half_open"], 1),
    ],
)
def test_the_exit_code_follows_from_the_states(states: list[str], code: int) -> None:
    assert exit_code(breaker(state) for state in states) == code
    assert exit_code(breaker(state, shadow=True) for state in states) == 0


def breaker(state: str, *, shadow: bool = False) -> Breaker:
    made = Breaker("payments", 0.0)
    made.merge({"state": state, "shadow": {"would_reject": 0} if shadow else None}, 0.0)
    return made


def test_with_a_filter_only_the_chosen_breakers_are_shown_and_count(registry: BreakerRegistry) -> None:
    registry.breaker("search")
    trip(registry.breaker("payments"))
    with served(registry) as url:
        result = status(url, "--filter", "SEAR")
        assert (result.exit_code, result.output) == (0, "1 breaker: 1 closed\n")
        result = status(url, "--filter", "sear", "--json")
        assert (result.exit_code, list(json.loads(result.output)["breakers"])) == (0, ["search"])
        result = status(url, "--filter", "DownError")
        assert (result.exit_code, result.output.partition(" for ")[0]) == (1, "1 breaker: 1 open\npayments: open")


def test_for_scripts_the_document_is_printed_whole(registry: BreakerRegistry) -> None:
    trip(registry.breaker("payments"), "größer\x1b[2J")
    with served(registry) as url:
        result = status(url, "--json")
    document = json.loads(result.output)
    assert result.exit_code == 1
    assert document["breakers"]["payments"]["state"] == "open"
    assert document["dashboard"]["version"] == 2
    assert "\x1b" not in result.output


def test_names_and_errors_cannot_drive_the_terminal(registry: BreakerRegistry) -> None:
    trip(registry.breaker("a\x1b[31m\nb"), "x\x1b]0;title\x07\u202e")
    with served(registry) as url:
        output = status(url).output
    assert "a\\x1b[31m\\nb: open" in output
    assert output.replace("\n", "").isprintable()


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_exit_code_is_3_if_nobody_answers_and_nothing_is_printed_but_why(options: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = status(f"127.0.0.1:{port}", "--timeout", "0.05", *options)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "Error: the dashboard can't be reached: there was no complete response within 0.05 s\n"
    result = status(f"127.0.0.1:{port}", *options)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "Error: the dashboard can't be reached: All connection attempts failed\n"


def test_what_a_status_page_of_something_else_says_is_an_error(registry: BreakerRegistry) -> None:
    with served(registry) as url:
        result = status(f"{url}elsewhere")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "Error: the dashboard can't be reached: it answers 404 Not Found\n"


def test_a_version_that_is_not_known_is_an_error(registry: BreakerRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recloser.dashboard._dashboard.VERSION", 3)
    with served(registry) as url:
        result = status(url)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "it speaks version 3, and this recloser 2: update it" in result.stderr


def test_the_exit_code_is_no_other_if_nobody_reads_the_text(registry: BreakerRegistry) -> None:
    trip(registry.breaker("payments"))
    with served(registry) as url:
        command = [sys.executable, "-m", "recloser", "status", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert (process.stderr.read(), process.wait(30)) == (b"", 1)


def test_what_the_output_cannot_encode_is_spelled_out(registry: BreakerRegistry) -> None:
    trip(registry.breaker("größe 数"))
    with served(registry) as url:
        environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
        command = [sys.executable, "-m", "recloser", "status", url]
        result = subprocess.run(command, capture_output=True, env=environment, timeout=30, check=False)
    assert (result.returncode, result.stderr) == (1, b"")
    assert "größe \\u6570: open".encode("latin-1") in result.stdout


def test_it_prints_to_whatever_stands_for_the_output(registry: BreakerRegistry) -> None:
    output = io.StringIO()
    with served(registry) as url, contextlib.redirect_stdout(output), pytest.raises(SystemExit) as ended:
        app(["status", url], prog_name="recloser")
    assert (ended.value.code, output.getvalue()) == (0, "No breakers yet.\n")


def test_a_server_that_says_nothing_about_all_breakers_is_not_spoken_for() -> None:
    assert _overview(Board()) == []
