"""The benchmarks find the Pythons of a machine, and name those that they looked for in vain."""

from pathlib import Path

import pytest

from benchmarks import pythons


def _install(directory: Path, name: str, version: str) -> str:
    """Makes a program that answers as a Python of this version does, and returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    program.write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
    program.chmod(0o755)
    return str(program)


@pytest.fixture(autouse=True)
def no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which only the current Python is found."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setattr(pythons, "this", lambda: pythons.Found("CPython 3.11", "python"))


def test_pythons_that_are_not_found_are_named() -> None:
    assert pythons.find() == ([], ["CPython 3.12", "CPython 3.13", "CPython 3.14", "PyPy 3.11"])


def test_pythons_are_found_on_the_path_and_in_the_directory_of_pyenv(tmp_path: Path) -> None:
    on_path = _install(tmp_path / "bin", "python3.12", "CPython 3.12.4")
    of_pyenv = _install(tmp_path / "pyenv" / "versions" / "3.14.2" / "bin", "python3.14", "CPython 3.14.2")
    pypy = _install(tmp_path / "bin", "pypy3", "PyPy 3.11.13")
    found, missing = pythons.find()
    assert [(each.label, each.program) for each in found] == [
        ("CPython 3.12", on_path),
        ("CPython 3.14", of_pyenv),
        ("PyPy 3.11", pypy),
    ]
    assert missing == ["CPython 3.13"]


def test_a_program_that_is_another_python_or_fails_is_not_taken(tmp_path: Path) -> None:
    _install(tmp_path / "bin", "python3.12", "CPython 3.10.1")
    failing = Path(_install(tmp_path / "bin", "python3.13", "CPython 3.13.1"))
    failing.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    _install(tmp_path / "bin", "pypy3", "PyPy 3.10.1")
    found, missing = pythons.find()
    assert found == []
    assert set(missing) == {"CPython 3.12", "CPython 3.13", "CPython 3.14", "PyPy 3.11"}


def test_the_program_of_pyenv_is_taken_if_the_one_on_the_path_only_says_what_is_missing(tmp_path: Path) -> None:
    shim = Path(_install(tmp_path / "bin", "python3.12", ""))
    shim.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    program = _install(tmp_path / "pyenv" / "versions" / "3.12.1" / "bin", "python3.12", "CPython 3.12.1")
    found, _ = pythons.find()
    assert [each.program for each in found] == [program]
