"""The rules of the house that no linter knows, read from the syntax trees and from the files themselves."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "recloser"
CORE = sorted((SOURCE / "_core").rglob("*.py"))

LONGEST_FILE = 500
LONGEST_FUNCTION = 50
MEASURED = sorted(path for directory in (SOURCE, ROOT / "demos", ROOT / "tests") for path in directory.rglob("*.py"))

ASYNC = (ast.Await, ast.AsyncFor, ast.AsyncFunctionDef, ast.AsyncWith)
IMPURE_MODULES = {"asyncio", "logging", "secrets", "socket", "threading", "time"}
IMPURE_CALLS = {"input", "open", "print"}
IMPURE_METHODS = {"now", "today", "utcnow"}
PURE_NAMES_OF_RANDOM = {"Random"}

MACHINE_PATH = re.compile(r"(?<![\w.])(?:/(?:home|Users)/\w|/(?:root|work)/|[A-Z]:\\Users\\)")


def impurities(source: str) -> Iterator[str]:
    """Names what a module of the core may not do: wait, do I/O, log, read a clock, roll a shared die, import others."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ASYNC) or (isinstance(node, ast.comprehension) and node.is_async):
            yield type(node).__name__
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if not is_pure_import(alias.name, level=0))
            yield from (alias.name for alias in node.names if alias.name == "random")
        elif isinstance(node, ast.ImportFrom):
            if not is_pure_import(node.module or "", level=node.level):
                yield f"{'.' * node.level}{node.module or ''}"
            if node.module == "random":
                yield from (f"random.{a.name}" for a in node.names if a.name not in PURE_NAMES_OF_RANDOM)
        elif isinstance(node, ast.Call):
            yield from impure_call(node.func)


def is_pure_import(module: str, *, level: int) -> bool:
    """Tells whether the core may import a module: the pure part of the standard library and itself."""
    top = module.partition(".")[0]
    if level or module == "recloser._core" or module.startswith("recloser._core."):
        return level <= 1
    return top in sys.stdlib_module_names and top not in IMPURE_MODULES


def impure_call(function: ast.expr) -> Iterator[str]:
    """Names a call that does I/O or asks the wall clock."""
    if isinstance(function, ast.Name) and function.id in IMPURE_CALLS:
        yield function.id
    if isinstance(function, ast.Attribute) and function.attr in IMPURE_METHODS:
        yield function.attr


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_the_core_is_pure(path: Path) -> None:
    assert list(impurities(path.read_text(encoding="utf-8"))) == []


def test_the_core_was_found() -> None:
    assert {"states.py", "machine.py"} <= {path.name for path in CORE}


@pytest.mark.parametrize(
    "source",
    [
        "async def f(): pass",
        "async def f(): await g()",
        "async def f(): return [x async for x in g()]",
        "import anyio",
        "import time",
        "import random",
        "import logging.handlers",
        "from asyncio import Lock",
        "from random import random",
        "from recloser import CircuitState",
        "from recloser.errors import RejectedError",
        "from .. import errors",
        "from ..errors import RejectedError",
        "import recloser._breaker.breaker",
        "datetime.now(UTC)",
        "print(state)",
    ],
)
def test_an_impure_core_would_be_noticed(source: str) -> None:
    assert list(impurities(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        "from random import Random",
        "from .states import CircuitState",
        "from . import states",
        "from recloser._core.states import CircuitState",
        "from collections.abc import Callable",
    ],
)
def test_what_the_core_may_do_passes(source: str) -> None:
    assert list(impurities(source)) == []


def test_no_file_is_too_long() -> None:
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MEASURED}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def too_long(source: str) -> Iterator[str]:
    """Names the functions of a module that are too long."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"{node.name}: {length} lines"


def test_no_function_is_too_long() -> None:
    found = {relative(path): list(too_long(path.read_text(encoding="utf-8"))) for path in MEASURED}
    assert {path: functions for path, functions in found.items() if functions} == {}


def test_a_function_that_is_too_long_would_be_noticed() -> None:
    body = "    pass\n" * LONGEST_FUNCTION
    assert list(too_long(f"def short():\n{body[:-9]}\nasync def long():\n{body}")) == ["long: 51 lines"]


def test_the_packages_hold_all_private_modules() -> None:
    assert [path.name for path in SOURCE.glob("_*.py") if path.name not in {"__init__.py", "__main__.py"}] == []


def settings_of_tools() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    return project


def test_private_access_across_modules_is_checked() -> None:
    lint, pyright = settings_of_tools()["ruff"]["lint"], settings_of_tools()["pyright"]
    assert lint["select"] == ["ALL"]
    assert "SLF001" not in lint["ignore"]
    assert [files for files, rules in lint["per-file-ignores"].items() if "SLF001" in rules] == [
        "src/recloser/_core/{meters,windows}.py"
    ]
    assert lint["mccabe"]["max-complexity"] <= 10
    assert pyright["typeCheckingMode"] == "strict"
    assert "reportPrivateUsage" not in pyright


def test_the_import_contracts_have_the_layers_of_the_plan_and_no_exemption() -> None:
    contracts = settings_of_tools()["importlinter"]["contracts"]
    assert contracts[0]["layers"] == [
        "__main__",
        "cli",
        "dashboard | integrations | telemetry | testing",
        "events | fleet | lowlevel | registry",
        "_policies | _registry",
        "_fallback",
        "_breaker",
        "errors",
        "_assets | _core",
    ]
    assert [contract["name"] for contract in contracts if "ignore_imports" in contract] == []


@pytest.mark.parametrize("side", ["forbidden_modules", "source_modules"])
def test_the_import_contracts_name_every_private_module(side: str) -> None:
    contracts = settings_of_tools()["importlinter"]["contracts"]
    named = {module for contract in contracts for module in contract.get(side, [])}
    private = {f"recloser.{path.stem}" for path in SOURCE.iterdir() if re.match(r"_[a-z]", path.name)}
    assert private - named == set()


def test_the_root_imports_nothing_but_anyio_and_the_standard_library() -> None:
    with_root = modules_after("recloser")
    with_anyio = modules_after(*(name for name in with_root if name.partition(".")[0] == "anyio"))
    tops = {name.partition(".")[0] for name in with_root - with_anyio}
    assert tops - sys.stdlib_module_names == {"recloser"}


def modules_after(*names: str) -> set[str]:
    """Lists the modules that a fresh interpreter has loaded after it imported the given ones."""
    script = f"import sys, {', '.join(names)}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


def test_no_committed_file_names_a_machine_path() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git work tree")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, cwd=ROOT, text=True).stdout.split("\0")
    found = [f"{name}: {match[0]}" for name in names if name for match in MACHINE_PATH.finditer(text_of(ROOT / name))]
    assert found == []


def text_of(path: Path) -> str:
    """Reads a text file; a deleted or a binary one reads as empty."""
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


@pytest.mark.parametrize("path", ["/home" + "/ada/x", "/root" + "/.cache", "/work" + "/x", "C:" + "\\Users\\ada"])
def test_a_machine_path_would_be_noticed(path: str) -> None:
    assert MACHINE_PATH.search(f"see {path}")


@pytest.mark.parametrize("text", ["https://example.org/home/ada", "docs/work/x", "network/root"])
def test_what_only_looks_like_a_machine_path_passes(text: str) -> None:
    assert not MACHINE_PATH.search(text)
