import sys
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recloser.cli.app import app
from recloser.cli.client.errors import EndedError, UnreachableError
from recloser.cli.client_commands import status, top

SECRET = "hunter2"  # noqa: S105 - no real one


def invoke(*arguments: str, **variables: str) -> Result:
    unset: dict[str, str | None] = {"RECLOSER_URL": None, "RECLOSER_HEADER": None}
    return CliRunner().invoke(app, arguments, prog_name="recloser", env=unset | variables)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[tuple[str, str]]]]:
    """The URL and the headers of each dashboard that `status` or `top` would read."""
    sent: list[tuple[str, list[tuple[str, str]]]] = []

    def look(url: object, headers: list[tuple[str, str]], **_: Any) -> tuple[int, str]:  # noqa: ANN401 - not used
        sent.append((str(url), headers))
        return 0, "fine"

    monkeypatch.setattr("recloser.cli.status.look", look)
    monkeypatch.setattr("recloser.cli.top.watch.watch", look)
    return sent


@pytest.mark.parametrize("command", ["status", "top"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'URL': give the address of a dashboard, or set RECLOSER_URL."),
        (["ftp://x"], "Invalid value for 'URL' (env var: 'RECLOSER_URL'): this is no HTTP URL; the dashboard's looks"),
        (["x", "--timeout", "0"], "Invalid value for '--timeout': 0 is not in the range 0<x<=3600"),
        (["x", "--timeout", "nan"], "Invalid value for '--timeout': nan is not in the range 0<x<=3600"),
        (["x", "-H", "X-Key secret"], "header 1 must be NAME:VALUE, and has no colon"),
        (["x", "-H", ": x"], "the name of header 1 must consist of letters, digits and hyphens"),
        (["x", "-H", "X: y", "-H", "X Key: x"], "the name of header 2 must consist of letters, digits and hyphens"),
        (["x", "-H", "X-Key: a\nb"], "the value of header 1 must consist of printable ASCII characters"),
        (["x", "-H", "X-Key: ä"], "the value of header 1 must consist of printable ASCII characters"),
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
def test_without_a_library_the_message_names_the_extra_and_the_exit_code_is_3(
    command: str, library: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in list(sys.modules):
        if module.startswith((f"{library}.", "recloser.cli.client.", "recloser.cli.status", "recloser.cli.top.")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    result = invoke(command, "http://127.0.0.1:1/")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"Error: {name} is not installed; this needs: pip install 'recloser[cli]'\n"


@pytest.mark.parametrize("command", ["status", "top"])
def test_ctrl_c_ends_a_command_with_130(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recloser.cli.status.look", interrupt)
    monkeypatch.setattr("recloser.cli.top.watch.watch", interrupt)
    assert invoke(command, "127.0.0.1:1").exit_code == 130


@pytest.mark.parametrize("command", ["status", "top"])
def test_headers_are_sent(command: str, sent: list[object]) -> None:
    headers = ("-H", "Cookie: a:b", "--header", "Authorization:Bearer  t", "-H", "Cookie:c")
    assert invoke(command, "x/breakers", *headers).exit_code == 0
    assert sent == [("http://x/breakers/", [("Cookie", "a:b"), ("Authorization", "Bearer  t"), ("Cookie", "c")])]


@pytest.mark.parametrize("command", ["status", "top"])
def test_the_environment_has_defaults_for_the_url_and_the_headers_one_in_a_line(
    command: str, sent: list[object]
) -> None:
    lines = "Authorization: Bearer t \r\n\n  Cookie: a: b; c\n"
    assert invoke(command, RECLOSER_URL="shop.example/breakers", RECLOSER_HEADER=lines).exit_code == 0
    assert sent == [("http://shop.example/breakers/", [("Authorization", "Bearer t"), ("Cookie", "a: b; c")])]


@pytest.mark.parametrize("command", ["status", "top"])
def test_the_command_line_wins_over_the_environment(command: str, sent: list[object]) -> None:
    variables = {"RECLOSER_URL": "shop.example", "RECLOSER_HEADER": "X-Key: a\nX-Other: b"}
    assert invoke(command, "mail.example", "-H", "X-Key: c", **variables).exit_code == 0
    assert sent == [("http://mail.example/", [("X-Key", "c")])]


@pytest.mark.parametrize("command", ["status", "top"])
def test_an_empty_variable_counts_as_none(command: str, sent: list[object]) -> None:
    assert invoke(command, "shop.example", RECLOSER_URL="", RECLOSER_HEADER="").exit_code == 0
    assert sent == [("http://shop.example/", [])]
    assert "Missing argument 'URL'" in invoke(command, RECLOSER_URL="").stderr


@pytest.mark.parametrize("command", ["status", "top"])
@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"RECLOSER_URL": f"ftp://user:{SECRET}@x"}, 2),
        ({"RECLOSER_URL": f"http://user:{SECRET}@x:99999"}, 2),
        ({"RECLOSER_URL": f"http://x/?token={SECRET}"}, 2),
        ({"RECLOSER_URL": f"http://user:{SECRET}@127.0.0.1:1/"}, 3),
        ({"RECLOSER_HEADER": f"Bearer {SECRET}"}, 2),
        ({"RECLOSER_HEADER": f"Bearer {SECRET}: x"}, 2),
        ({"RECLOSER_HEADER": f"{SECRET}: ä"}, 2),
        ({"RECLOSER_HEADER": f"Authorization: Bearer {SECRET}"}, 3),
        ({"RECLOSER_HEADER": f"Content-Length: {SECRET}"}, 3),
    ],
)
def test_an_error_repeats_no_secret_of_the_environment(command: str, variables: dict[str, str], code: int) -> None:
    result = invoke(command, **{"RECLOSER_URL": "http://127.0.0.1:1/", **variables})
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr
    assert SECRET not in result.stderr


def test_what_both_commands_have_is_the_same_in_both() -> None:
    described = [
        {param.name: {**param.to_info_dict(), "help": getattr(param, "help", None)} for param in command.params}
        for command in (status, top)
    ]
    common = described[0].keys() & described[1].keys()
    assert common == {"url", "headers", "timeout_seconds", "text"}
    assert all(described[0][name] == described[1][name] for name in common)


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
def test_whatever_else_goes_wrong_ends_it_with_3(
    command: str, error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("recloser.cli.status.look", fail)
    monkeypatch.setattr("recloser.cli.top.watch.watch", fail)
    result = invoke(command, "127.0.0.1:1")
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", message)


def test_a_signal_that_ends_it_is_told_by_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_: object, **__: object) -> None:
        raise EndedError(15)

    monkeypatch.setattr("recloser.cli.top.watch.watch", end)
    assert invoke("top", "127.0.0.1:1").exit_code == 143
