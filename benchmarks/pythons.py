"""Finds the Pythons of this machine, and makes an environment with recloser for each."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

WANTED = {
    "CPython 3.11": ("python3.11",),
    "CPython 3.12": ("python3.12",),
    "CPython 3.13": ("python3.13",),
    "CPython 3.14": ("python3.14",),
    "PyPy 3.11": ("pypy3.11", "pypy3"),
}
"""The Pythons that are looked for, and the names of their programs."""

REQUIREMENTS = ("opentelemetry-sdk", "--editable", f"{ROOT}[cache,opentelemetry,prometheus,retry]")
_ASK = "import platform; print(platform.python_implementation(), platform.python_version())"


@dataclass(frozen=True, slots=True)
class Found:
    """A Python of this machine.

    Args:
        label: Its implementation and version up to the minor one, as in `WANTED`.
        program: The path of the interpreter.
    """

    label: str
    program: str


def label_of(python: str) -> str:
    """Returns an implementation and a version without its last part: `CPython 3.11` for `CPython 3.11.7`."""
    return ".".join(python.split(".")[:2])


def this() -> Found:
    """Returns the Python that runs the benchmarks."""
    return Found(label_of(f"{platform.python_implementation()} {platform.python_version()}"), sys.executable)


def find() -> tuple[list[Found], list[str]]:
    """Looks for the other Pythons: on the path, and in pyenv's directory.

    Returns:
        Those that are found and run, and the labels of the missing ones.
    """
    found, missing = [], []
    for label, names in WANTED.items():
        if label == this().label:
            continue
        program = next((each for name in names for each in _candidates(name) if _is(each, label)), None)
        if program is None:
            missing.append(label)
        else:
            found.append(Found(label, program))
    return found, missing


def _candidates(name: str) -> list[str]:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = shutil.which(name)
    versions = [str(path) for path in sorted(pyenv.glob(f"versions/*/bin/{name}"), reverse=True)]
    return versions if on_path is None else [on_path, *versions]


def _is(program: str, label: str) -> bool:
    """Returns whether a program runs and is this Python: some of those that pyenv puts on the path only fail."""
    try:
        done = subprocess.run([program, "-c", _ASK], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return label_of(done.stdout.strip()) == label


def environment(python: Found, directory: Path) -> str:
    """Makes a virtual environment with recloser, and returns its interpreter.

    Args:
        python: The Python to use.
        directory: Where to make it.

    Raises:
        subprocess.CalledProcessError: Something can't be installed.
    """
    subprocess.run([python.program, "-m", "venv", directory], check=True, stdout=sys.stderr)
    program = str(directory / ("Scripts" if os.name == "nt" else "bin") / "python")
    install = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
    subprocess.run(install, check=True, stdout=sys.stderr)
    return program
