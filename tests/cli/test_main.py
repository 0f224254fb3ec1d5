import importlib
import re
import subprocess
import sys

import pytest

from recloser import __version__
from recloser.cli import main


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    """Run the command in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["recloser", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_help_lists_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help", monkeypatch=monkeypatch) == 0
    _, _, commands = capsys.readouterr().out.partition("Commands:\n")
    assert re.findall(r"^  (\w+) +\w.+[^.]\.$", commands, re.MULTILINE) == ["demo", "lint", "status", "top"]


def test_the_version_is_the_package_s(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == f"recloser, version {__version__}\n"


def test_ctrl_c_while_it_starts_ends_it_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "recloser.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "recloser.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert run("--help", monkeypatch=monkeypatch) == 130


def test_without_click_the_message_names_the_extra_and_the_exit_code_is_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "click", None)
    for name in ("recloser.cli.app", "recloser.cli.demo_command"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert run("--help", monkeypatch=monkeypatch) == 3
    assert capsys.readouterr() == ("", "Error: click is not installed; this needs: pip install 'recloser[cli]'\n")


def test_importing_what_runs_the_package_runs_nothing() -> None:
    assert importlib.import_module("recloser.__main__").main is main


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "recloser", "--version"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert finished.stdout == f"recloser, version {__version__}\n"
    assert finished.stderr == ""
