"""What `--help` shows of each command, and the completion that it says how to set up."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click import Context
from click.testing import CliRunner

from recloser.cli.app import app
from recloser.cli.command import DocumentedCommand

ROOT = Path(__file__).parent.parent.parent
BASH = shutil.which("bash") or ""
COMMANDS = [command for command in app.commands.values() if isinstance(command, DocumentedCommand)]
EXAMPLES = [(command, example) for command in COMMANDS for example in command.examples]


def page(*command: str, width: int = 80) -> str:
    result = CliRunner().invoke(app, [*command, "--help"], prog_name="recloser", terminal_width=width)
    assert result.exit_code == 0
    return result.output


def test_every_command_is_documented() -> None:
    assert {command.name for command in COMMANDS} == app.commands.keys()
    assert all(command.examples for command in [app, *COMMANDS])


@pytest.mark.parametrize("command", [[], *([name] for name in app.commands)])
def test_a_page_has_examples_and_says_how_to_complete_within_80_columns(command: list[str]) -> None:
    text = page(*command)
    assert "\nExamples:\n  $ recloser" in text
    assert "shell completion" in text.lower()
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(("command", "example"), EXAMPLES)
def test_an_example_is_a_command_line_that_the_command_takes(
    command: DocumentedCommand, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "breakers.toml").touch()
    ours = next(part for part in example.split("|") if re.search(r"\brecloser ", part))
    assignments, _, line = ours.partition("recloser ")
    for assignment in shlex.split(assignments):
        monkeypatch.setenv(*assignment.split("=", 1))
    name, *arguments = shlex.split(line)
    assert name == command.name
    with command.make_context(name, arguments) as context:
        assert isinstance(context, Context)
    assert f"\n  $ {example}\n" in page(name, width=40)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_page_has_the_exit_codes(command: DocumentedCommand) -> None:
    _, _, text = page(str(command.name), width=200).partition("\nExit codes:\n")
    found = {int(code): meaning for code, meaning in re.findall(r"^  (\d+) +(.+)$", text, re.MULTILINE)}
    assert found == command.exit_codes
    assert {2, 130} <= found.keys()


def test_the_documentation_has_the_exit_codes_of_status() -> None:
    text = (ROOT / "docs" / "how-to" / "terminal.md").read_text(encoding="utf-8")
    table = re.search(r"^\| exit code of `recloser status` .*?\n\n", text, re.MULTILINE | re.DOTALL)
    assert table is not None
    status = app.commands["status"]
    assert isinstance(status, DocumentedCommand)
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table[0], re.MULTILINE)] == list(status.exit_codes)


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("recloser st", ["status"]),
        ("recloser top --so", ["--sort"]),
        ("recloser top --sort fa", ["failures"]),
        ("recloser status --", ["--filter", "--header", "--help", "--json", "--timeout"]),
        ("recloser demo --t", ["--timeline"]),
        ("recloser demo --m", []),
    ],
)
@pytest.mark.skipif(not BASH, reason="there is no bash")
def test_bash_completes_after_the_line_that_the_help_shows(line: str, completed: list[str], tmp_path: Path) -> None:
    (tmp_path / "recloser").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m recloser "$@"\n')
    (tmp_path / "recloser").chmod(0o755)
    setup = re.search(r"^  bash: +(eval .*)$", page(), re.MULTILINE)
    assert setup is not None
    words = shlex.split(line)
    script = f"""
        {setup[1]}
        COMP_WORDS=({line}) COMP_CWORD={len(words) - 1}
        $(complete -p recloser | sed 's/.*-F \\([^ ]*\\).*/\\1/') recloser
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run([BASH, "--norc", "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert (sorted(result.stdout.split()), result.stderr) == (completed, "")


@pytest.mark.parametrize(
    ("shell", "marker"), [("zsh", "#compdef recloser"), ("fish", "complete --no-files --command recloser")]
)
def test_the_lines_for_other_shells_print_a_script(shell: str, marker: str) -> None:
    setup = re.search(rf"^  {shell}: .*(_RECLOSER_COMPLETE)=(\w+) recloser", page(), re.MULTILINE)
    assert setup is not None
    environment = {**os.environ, setup[1]: setup[2]}
    command = [sys.executable, "-m", "recloser"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert marker in result.stdout
