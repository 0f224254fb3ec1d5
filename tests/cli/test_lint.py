import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner, Result

from recloser.cli.app import app

CLEAN = "[breakers.payments]\nfailure_threshold = 5\n"
HARMFUL = """
[defaults]
failure_threshold = 1

[breakers."a = 1: b"]
trip_when = [
  { slow_call_rate = 0.5, slow_call_seconds = 2, minimum_calls = 2, window = { count = 10 } },
  { failure_count = 2, window = { seconds = 60 } },
]
reset_timeout_seconds = { initial_seconds = 0.1234567, maximum_seconds = 60 }

[per_key.web]
failure_threshold = 2
"""
PATHS = [
    "defaults.failure_threshold",
    "per_key.web.failure_threshold",
    'breakers."a = 1: b".trip_when[0].minimum_calls',
    'breakers."a = 1: b".trip_when[1].failure_count',
    'breakers."a = 1: b".reset_timeout_seconds.initial_seconds',
]


def lint(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["lint", *arguments], prog_name="recloser", input=text)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, from which configurations import."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, name: str = "breakers.toml") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_the_exit_code_is_0_if_there_is_nothing_to_say() -> None:
    result = lint(write(CLEAN))
    assert (result.exit_code, result.output) == (0, "breakers.toml: no findings\n")


def test_the_exit_code_is_1_with_findings_and_each_is_a_line_with_its_path() -> None:
    result = lint(write(HARMFUL))
    assert (result.exit_code, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    assert [line.partition(" = ")[0] for line in lines[:2]] == [f"breakers.toml: {path}" for path in PATHS[:2]]
    assert [line.startswith(f"breakers.toml: {path} = ") for line, path in zip(lines, PATHS, strict=True)] == [True] * 5
    assert lines[0].startswith("breakers.toml: defaults.failure_threshold = 1: 1 failure in a row happens to every ")


def test_for_scripts_there_is_a_document() -> None:
    result = lint("--json", write(HARMFUL))
    document = json.loads(result.stdout)
    assert (result.exit_code, document.pop("findings")[4]["value"]) == (1, 0.1234567)
    assert document == {"version": 1, "file": "breakers.toml"}
    findings = json.loads(result.stdout)["findings"]
    assert [finding["path"] for finding in findings] == PATHS
    assert findings[0]["value"] == 1
    assert findings[0]["message"].startswith("1 failure in a row happens to every healthy dependency")
    assert json.loads(lint("--json", write(CLEAN)).stdout)["findings"] == []


def test_a_dash_stands_for_standard_input() -> None:
    result = lint("-", text=CLEAN)
    assert (result.exit_code, result.output) == (0, "<stdin>: no findings\n")
    assert lint("-", text=HARMFUL).exit_code == 1


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [", "is not TOML: "),
        (f"x = {'[' * 10_000}", "is not TOML: "),
        (
            "[defaults]\nfailure_treshold = 3",
            ": defaults.failure_treshold = 3 is unknown: did you mean failure_threshold?",
        ),
        ("[breakers.search]\nfailure_threshold = 0", ": breakers.search.failure_threshold must be "),
        ("defaults = 1", ": defaults must be a table, not 1"),
        ('[breakers."a\\u001b[2J"]\nmax_probes = 0', r': breakers."a\u001b[2J".max_probes must be '),
        ('defaults.failed_result = "no.such"', ": defaults.failed_result must be an importable name"),
    ],
)
def test_the_exit_code_is_2_if_the_configuration_is_invalid_and_the_error_has_its_path(
    text: str, message: str, options: tuple[str, ...]
) -> None:
    result = lint(write(text), *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: breakers.toml")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_read_is_as_an_invalid_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError(errno.EIO, "Input/output error", "breakers.toml")

    monkeypatch.setattr("click.open_file", fail)
    result = lint(write(CLEAN))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: [Errno {errno.EIO}] Input/output error: 'breakers.toml'\n"


def test_a_file_that_is_not_text_is_not_toml() -> None:
    Path("breakers.toml").write_bytes(b"\xff")
    result = lint("breakers.toml")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: breakers.toml is not TOML: 'utf-8' codec can't decode")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.toml"], "Invalid value for 'FILE': File 'no.toml' does not exist."),
        (["."], "Invalid value for 'FILE': File '.' is a directory."),
        ([], "Missing argument 'FILE'."),
        (["--fix", "no.toml"], "No such option"),
    ],
)
def test_the_exit_code_is_2_if_there_is_no_such_file_or_option(arguments: list[str], message: str) -> None:
    result = lint(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_exceptions_are_imported_from_the_current_directory_and_nothing_that_is_printed_joins_the_output() -> None:
    write("print('imported')\nclass OutOfStock(Exception): ...\n", "shop_errors.py")
    write('[defaults]\nexpected_exception = "shop_errors.OutOfStock"\n')
    path = list(sys.path)
    command = [str(Path(sys.executable).parent / "recloser"), "lint", "--json", "breakers.toml"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, json.loads(result.stdout)["findings"]) == (0, [])
    assert result.stderr == "imported\n"
    assert lint("breakers.toml").exit_code == 0
    assert sys.path == path


def test_warnings_of_imported_modules_are_no_findings() -> None:
    module = """
        from recloser import BreakerRegistry
        BreakerRegistry.from_config({"defaults": {"failure_threshold": 1}})
        class OutOfStock(Exception): ...
    """
    write("\n".join(line.strip() for line in module.splitlines()), "shop_breakers.py")
    result = lint(write('[defaults]\nexpected_exception = "shop_breakers.OutOfStock"\nfailure_threshold = 2\n'))
    assert result.exit_code == 1
    assert [line.partition(": 2 ")[0] for line in result.stdout.splitlines()] == [
        "breakers.toml: defaults.failure_threshold = 2"
    ]


@pytest.mark.parametrize(
    ("statement", "message"),
    [("raise SystemExit(0)", "SystemExit: 0"), ("raise ValueError('a\\nb')", "a\\nb")],
)
def test_a_module_that_ends_the_process_or_fails_makes_the_configuration_invalid(statement: str, message: str) -> None:
    name = f"shop_{abs(hash(statement))}"
    write(statement, f"{name}.py")
    result = lint(write(f'[defaults]\nexpected_exception = "{name}.OutOfStock"\n'))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: breakers.toml: ")
    assert result.stderr.endswith(f"{message}\n")


def test_ctrl_c_while_a_module_is_imported_ends_it_with_130() -> None:
    write("raise KeyboardInterrupt", "shop_interrupted.py")
    result = lint(write('[defaults]\nexpected_exception = "shop_interrupted.OutOfStock"\n'))
    assert (result.exit_code, result.output) == (130, "Interrupted.\n")


def test_what_the_output_cannot_encode_is_spelled_out() -> None:
    write('[breakers."größe 数"]\nfailure_threshold = 1\n')
    command = [sys.executable, "-m", "recloser", "lint", "breakers.toml"]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    result = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (1, b"")
    assert 'breakers."größe \\u6570".failure_threshold = 1: '.encode("latin-1") in result.stdout


def test_the_exit_code_is_no_other_if_nobody_reads_the_findings() -> None:
    command = [sys.executable, "-m", "recloser", "lint", write(HARMFUL)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == (b"", 1)
