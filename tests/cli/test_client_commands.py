import sys

import pytest
from click.testing import CliRunner, Result

from recloser.cli.app import app
from recloser.cli.client.errors import EndedError, UnreachableError


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="recloser")


@pytest.mark.parametrize("command", ["status", "top"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'URL'."),
        (["ftp://x"], "Invalid value for 'URL': this is no HTTP URL; the dashboard's looks like http://"),
        (["x", "--timeout", "0"], "Invalid value for '--timeout': 0 is not in the range 0<x<=3600"),
        (["x", "--timeout", "nan"], "Invalid value for '--timeout': nan is not in the range 0<x<=3600"),
        (["x", "-H", "X-Key secret"], "one has no colon between its name and its value"),
        (["x", "-H", ": x"], "'' can't be sent"),
        (["x", "-H", "X Key: x"], "'X Key' can't be sent"),
        (["x", "-H", "X-Key: a\nb"], "'X-Key' can't be sent"),
        (["x", "-H", "X-Key: ä"], "'X-Key' can't be sent"),
    ],
)
def test_a_bad_argument_is_named_with_what_would_be_good(command: str, arguments: list[str], message: str) -> None:
    result = invoke(command, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())


def test_what_to_sort_by_is_one_of_four() -> None:
    result = invoke("top", "x", "--sort", "size")
    assert result.exit_code == 2
    assert "'size' is not one of 'state', 'name', 'failures', 'rejections'" in result.stderr


@pytest.mark.parametrize("command", ["status", "top"])
@pytest.mark.parametrize(("library", "name"), [("httpx", "httpx"), ("httpx_sse", "httpx_sse")])
def test_without_a_library_the_message_names_the_extra_and_the_exit_code_is_that_of_trouble(
    command: str, library: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in list(sys.modules):
        if module.startswith((f"{library}.", "recloser.cli.client.", "recloser.cli.status", "recloser.cli.top.")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    result = invoke(command, "http://127.0.0.1:1/")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: {name} is not installed; this needs: pip install 'recloser[cli]'\n"


@pytest.mark.parametrize("command", ["status", "top"])
def test_ctrl_c_ends_a_command_with_130(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recloser.cli.status.look", interrupt)
    monkeypatch.setattr("recloser.cli.top.watch.watch", interrupt)
    assert invoke(command, "127.0.0.1:1").exit_code == 130


def test_headers_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []

    def look(url: object, headers: object, **_: object) -> tuple[int, str]:
        sent.append((str(url), headers))
        return 0, "fine"

    monkeypatch.setattr("recloser.cli.status.look", look)
    headers = ("-H", "Cookie: a:b", "-H", "Authorization:Bearer  t", "-H", "Cookie:c")
    assert invoke("status", "x/breakers", *headers).output == "fine\n"
    assert sent == [("http://x/breakers/", [("Cookie", "a:b"), ("Authorization", "Bearer  t"), ("Cookie", "c")])]


@pytest.mark.parametrize("command", ["status", "top"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImportError("no SOCKS\x1b"), "Error: ImportError: no SOCKS\\x1b\n"),
        (ExceptionGroup("x", [ExceptionGroup("y", [OSError("full")])]), "Error: OSError: full\n"),
        (
            UnreachableError("it answers 404 \x1b[2J"),
            "Error: the dashboard can't be reached: it answers 404 \\x1b[2J\n",
        ),
    ],
)
def test_whatever_goes_wrong_is_trouble_and_no_state_of_a_breaker(
    command: str, error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("recloser.cli.status.look", fail)
    monkeypatch.setattr("recloser.cli.top.watch.watch", fail)
    result = invoke(command, "127.0.0.1:1")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


def test_a_signal_that_ends_it_is_told_by_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_: object, **__: object) -> None:
        raise EndedError(15)

    monkeypatch.setattr("recloser.cli.top.watch.watch", end)
    assert invoke("top", "127.0.0.1:1").exit_code == 143
