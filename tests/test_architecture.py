"""The architecture page: the tree that it draws is there, and calls take the walks that it describes."""

import gc
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError
from recloser.testing import ManualClock

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "recloser"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

DRAWN_WHOLE = ("_core", "_breaker", "_registry")
FOUND_AT_ONCE = {"__init__.py", "__main__.py", "__pycache__", "py.typed"}

Executed = dict[str, set[str]]


def test_every_file_that_the_tree_names_exists() -> None:
    assert [path for path in drawn() if not (SOURCE / path).exists()] == []


def test_the_tree_names_every_package_and_the_modules_of_those_that_it_draws_whole() -> None:
    there = {path.name for path in SOURCE.iterdir()}
    for package in DRAWN_WHOLE:
        there |= {f"{package}/{path.name}" for path in (SOURCE / package).iterdir()}
    named = {path.rstrip("/") for path in drawn()}
    assert {path for path in there if path not in named and Path(path).name not in FOUND_AT_ONCE} == set()


def drawn() -> list[str]:
    """Returns the paths in the tree, relative to the package: by their indentation, and those that a remark names."""
    tree = PAGE.split("src/recloser/\n")[1].split("```")[0]
    found, package = [], ""
    for line in tree.splitlines():
        depth = len(line) - len(line.lstrip())
        if depth == 0:  # beside the package
            break
        name, remark = (*line.strip().split(maxsplit=1), "")[:2]
        if depth == 2:
            package = name if name.endswith("/") else ""
        within = package if depth > 2 or name == package else ""
        found.append(name if name == package else within + name)
        inner = f"{within}{name}" if name.endswith("/") and name != package else within
        found += [inner + other for other in re.findall(r"\w+\.py", remark)]
    return found


@pytest.mark.anyio
async def test_a_failing_call_that_trips_takes_the_walk_that_the_page_describes() -> None:
    await trip(CircuitBreaker("warm", failure_threshold=1))  # finds out what the exception means, once for all breakers
    breaker = CircuitBreaker("payments", failure_threshold=1)
    with executed() as functions:
        await trip(breaker)
    check_walk("A failing call that trips", functions, most_files=8)


@pytest.mark.anyio
async def test_the_life_of_a_breaker_takes_the_walk_that_the_page_describes() -> None:
    clock = ManualClock()
    with executed() as functions:
        breaker = CircuitBreaker("payments", failure_threshold=1, reset_timeout_seconds=60, clock=clock)
        await breaker.call(answer)
        await trip(breaker)
        with pytest.raises(CircuitBreakerOpenError) as caught:
            await breaker.call(answer)
        assert "OPEN" in str(caught.value)
        clock.advance(60)
        await breaker.call(answer)
    assert breaker.get_state() == "closed"
    check_walk("The life of a breaker", functions, most_files=10, with_helpers_of="A failing call that trips")


async def answer() -> str:
    return "receipt"


async def trip(breaker: CircuitBreaker) -> None:
    async def fail() -> None:
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        await breaker.call(fail)


@contextmanager
def executed() -> Iterator[Executed]:
    """Collects the functions of the package that are called, by their file."""
    functions: Executed = defaultdict(set)

    def profile(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(SOURCE) and "testing" not in path.parts:
            functions[path.relative_to(SOURCE).as_posix()].add(frame.f_code.co_qualname)

    before = sys.getprofile()
    gc.disable()  # finalisers of other tests are no part of the walk
    sys.setprofile(profile)
    try:
        yield functions
    finally:
        sys.setprofile(before)
        gc.enable()


def check_walk(title: str, functions: Executed, *, most_files: int, with_helpers_of: str | None = None) -> None:
    section = section_of(title)
    steps = re.findall(r"\[`([\w.]+)`\]\(\.\./src/recloser/([\w./]+)\)", section)
    files = {path for _, path in steps}
    assert len(files) <= most_files
    passed = [(name, path) for name, path in steps if any(is_of(called, name) for called in functions[path])]
    assert passed == steps
    helpers = set(re.findall(r"`(_\w+/\w+\.py)`", section + (section_of(with_helpers_of) if with_helpers_of else "")))
    assert {path for path, called in functions.items() if called} - files - helpers == set()


def is_of(called: str, name: str) -> bool:
    """Tells whether a called function is the one that a step names, or a method of the class that it names."""
    return called == name or called.startswith(f"{name}.")


def section_of(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
