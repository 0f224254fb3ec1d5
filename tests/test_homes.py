"""The home of a public name, which tracebacks, reprs and pickles show, is the module that users import it from."""

import ast
import importlib
import inspect
import pickle
import pkgutil
import textwrap
import traceback
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any, get_type_hints

import pytest

import recloser
from recloser import RetryBudget
from recloser._core.homes import SOURCES
from recloser.errors import FleetStoreError, MisuseError
from recloser.fleet.store import FleetPolicy, Message, SharedState
from recloser.lowlevel import publish
from recloser.registry import Finding
from recloser.testing import Fail, ManualClock
from recloser.testing.explorer import ScheduleError


def public_modules() -> list[ModuleType]:
    """Returns the modules that users import from: all without an underscore, the command line aside."""
    names = [info.name for info in pkgutil.walk_packages(recloser.__path__, "recloser.")]
    public = [name for name in names if "._" not in name and name.split(".")[1] not in {"cli", "__main__"}]
    return [recloser, *map(importlib.import_module, public)]


MODULES = {module.__name__: module for module in public_modules()}
EXPORTS = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in MODULES.values()
    for name in module.__all__
    if isinstance(getattr(module, name), type | FunctionType)
}


def has_clock_or_random(value: Any) -> bool:  # noqa: ANN401 - a class or a function
    """Returns whether an optional argument is a clock or a source of randomness."""
    try:
        parameters = inspect.signature(value).parameters
    except ValueError:  # a class in C
        return False
    return any(
        each in parameters and parameters[each].default is not inspect.Parameter.empty for each in ("clock", "random")
    )


def test_all_kinds_of_public_modules_are_found() -> None:
    assert {
        "recloser",
        "recloser.dashboard",
        "recloser.errors",
        "recloser.events",
        "recloser.fleet.store.memory",
        "recloser.integrations.httpx",
        "recloser.lowlevel",
        "recloser.registry",
        "recloser.telemetry.prometheus",
        "recloser.testing.explorer",
    } <= MODULES.keys()


@pytest.mark.parametrize("name", MODULES)
def test_every_public_module_lists_what_it_exports(name: str) -> None:
    module = MODULES[name]
    assert sorted(module.__all__) == sorted(set(module.__all__))
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("name", EXPORTS)
def test_the_home_of_a_public_name_exports_it(name: str) -> None:
    value = EXPORTS[name]
    assert value.__module__ in MODULES
    assert value.__qualname__ in MODULES[value.__module__].__all__
    assert getattr(MODULES[value.__module__], value.__qualname__) is value


def coroutine_functions() -> Iterator[tuple[str, FunctionType]]:
    """Yields the public coroutine functions, those of classes too; special methods are Python's to decide."""
    for name, value in EXPORTS.items():
        if inspect.iscoroutinefunction(value):
            yield name, value
        elif isinstance(value, type):
            for member, function in inspect.getmembers(value, inspect.iscoroutinefunction):
                if not member.startswith("_"):
                    yield f"{name}.{member}", function


# They implement the contract of a store, whose methods wait in other stores.
PLAIN_BY_CONTRACT = {"FleetStore", "InMemoryStore", "RedisStore"}


@pytest.mark.parametrize("name", dict(coroutine_functions()))
def test_a_public_coroutine_function_can_suspend(name: str) -> None:
    body = ast.parse(textwrap.dedent(inspect.getsource(dict(coroutine_functions())[name])))
    waits = any(isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) for node in ast.walk(body))
    assert waits or name.split(".")[-2] in PLAIN_BY_CONTRACT


def test_the_public_coroutine_functions_were_found() -> None:
    names = dict(coroutine_functions()).keys()
    assert {"recloser.CircuitBreaker.call", "recloser.fleet.Fleet.force_open", "recloser.testing.open_breaker"} <= names
    assert not any(name.endswith((".disable", ".reset", ".reconfigure")) for name in names if ".fleet." not in name)


@pytest.mark.parametrize("name", recloser.__all__)
def test_the_home_of_what_the_root_exports_is_the_root(name: str) -> None:
    assert getattr(recloser, name).__module__ == "recloser"


@pytest.mark.parametrize("name", SOURCES)
def test_the_source_of_a_published_name_is_known(name: str) -> None:
    _, _, short = name.rpartition(".")
    source = importlib.import_module(SOURCES[name])
    assert getattr(source, short) is EXPORTS[name]
    assert f"{'def' if inspect.isfunction(EXPORTS[name]) else 'class'} {short}" in inspect.getsource(source)


@pytest.mark.parametrize("name", [name for name, value in EXPORTS.items() if has_clock_or_random(value)])
def test_a_clock_and_a_source_of_randomness_are_none_by_default(name: str) -> None:
    parameters = inspect.signature(EXPORTS[name]).parameters
    assert {parameters[each].default for each in ("clock", "random") if each in parameters} == {None}


def test_a_traceback_shows_the_public_name() -> None:
    error = recloser.CircuitBreakerOpenError("payments")
    assert traceback.format_exception_only(error)[0].startswith("recloser.CircuitBreakerOpenError: ")
    assert repr(recloser.Retry) == "<class 'recloser.Retry'>"


@pytest.mark.parametrize(
    "value",
    [
        recloser.CircuitBreakerOpenError("payments", 1.0),
        recloser.errors.FallbackExhaustedError("none", [LookupError("a")], "chain", ["cache"]),
        recloser.CircuitBreaker("payments").snapshot(),
        recloser.CircuitState.OPEN,
        recloser.FailureRate(0.5, window=recloser.TimeWindow(60)) | recloser.ConsecutiveFailures(5),
        recloser.ExponentialBackoff(),
        Fail(OSError),
        FleetStoreError("down"),
        MisuseError("misuse"),
        ScheduleError(1, 2, "detail"),
        recloser.Constant,
        recloser.rejection_of,
        Finding,
        FleetPolicy,
        Message,
        RetryBudget,
        ManualClock,
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_pickles_refer_to_the_home(value: object) -> None:
    pickled = pickle.dumps(value)
    loaded = pickle.loads(pickled)  # noqa: S301 - of our own making
    assert type(loaded) is type(value)
    assert str(loaded) == str(value)
    kind = value if isinstance(value, type | FunctionType) else type(value)
    assert b"recloser._" not in pickled
    assert kind.__module__.partition("._")[0].encode() in pickled


@pytest.mark.parametrize(
    "value",
    [
        recloser.Answer,
        recloser.events.Cause,
        recloser.ConsecutiveFailures,
        recloser.Constant,
        recloser.FailureCount,
        recloser.FailureRate,
        recloser.SlowCallRate,
        recloser.events.Snapshot,
        Fail,
        Finding,
        FleetPolicy,
        Message,
        SharedState,
    ],
    ids=repr,
)
def test_the_annotations_of_a_value_can_be_evaluated_in_its_home(value: type) -> None:
    assert get_type_hints(value)


def test_the_source_of_published_functions_and_of_methods_is_found() -> None:
    assert "def call(" in inspect.getsource(recloser.CircuitBreaker.call)
    assert "def rejection_of(" in inspect.getsource(recloser.rejection_of)


def test_only_what_is_private_or_below_the_home_is_published_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recloser._core.homes.SOURCES", {})

    def defined_in(module: str) -> Any:  # noqa: ANN401 - a class
        return type("Name", (), {"__module__": module})

    names = {
        "Private": defined_in("shop._parts.till"),
        "Below": defined_in("shop.till.drawer"),
        "Public": defined_in("shop.errors"),
        "Foreign": defined_in("pathlib"),
        "CONSTANT": 7,
        "Union": int | str,
    }
    publish({"__name__": "shop.till", "__all__": list(names), **names})
    homes = {name: value.__module__ for name, value in names.items() if isinstance(value, type)}
    assert homes == {"Private": "shop.till", "Below": "shop.till", "Public": "shop.errors", "Foreign": "pathlib"}
