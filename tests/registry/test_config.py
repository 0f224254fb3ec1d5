"""`BreakerRegistry.from_config(...)`: a mapping or a TOML file; errors name the path of the key."""

import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from recloser import (
    BreakerRegistry,
    CircuitBreaker,
    ConsecutiveFailures,
    CountWindow,
    ExponentialBackoff,
    FailureCount,
    FailureRate,
    SlowCallRate,
    TimeWindow,
)
from recloser._core.settings import OPTIONS
from recloser._registry.config import SETTINGS
from recloser.errors import ConfigurationWarning
from recloser.testing import ManualClock

pytestmark = pytest.mark.anyio

FULL = """
max_breakers = 5000

[defaults]
failure_threshold = 7
reset_timeout_seconds = 30
ignored_exception = ["KeyError", "json.JSONDecodeError"]

[breakers.payments]
trip_when = { failure_rate = 0.5, window = { count = 50 }, minimum_calls = 10 }
reset_timeout_seconds = { initial_seconds = 2, multiplier = 3, maximum_seconds = 120, jitter = 0.2 }
expected_exception = ["OSError", "tests.breaker.kit.DependencyError"]

[breakers."api.example.com"]
trip_when = [
  { consecutive_failures = 5, within_seconds = 60 },
  { slow_call_rate = 0.8, slow_call_seconds = 2, window = { seconds = 60, buckets = 6 }, minimum_calls = 20 },
  { failure_count = 9, window = { seconds = 30 } },
]
expected_exception = "OSError"
failed_result = "operator.not_"
success_threshold = 2
max_probes = 3
probe_timeout_seconds = 20
overdue_after_seconds = 0
shadow = true

[per_key.web]
failure_threshold = 4
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "breakers.toml"
    path.write_text(text, encoding="utf-8")
    return path


def is_down(exc: BaseException) -> bool:
    return "down" in str(exc)


def test_a_file_can_contain_every_setting(tmp_path: Path) -> None:
    registry = BreakerRegistry.from_config(write(tmp_path, FULL))
    assert registry.queue.capacity == 5000
    assert registry.breaker("orders").failure_threshold == 7
    payments = CircuitBreaker(
        trip_when=FailureRate(0.5, window=CountWindow(50), minimum_calls=10),
        reset_timeout_seconds=ExponentialBackoff(initial_seconds=2, multiplier=3, maximum_seconds=120, jitter=0.2),
        expected_exception=registry.breaker("payments").expected_exception,
        ignored_exception=registry.breaker("orders").engine.machine.settings.ignored_exception,
    )
    assert registry.breaker("payments").engine.machine.settings == payments.engine.machine.settings
    assert [kind.__name__ for kind in payments.expected_exception] == ["OSError", "DependencyError"]
    settings = registry.breaker("api.example.com").engine.machine.settings
    assert settings.trip_when == (
        ConsecutiveFailures(5, within_seconds=60)
        | SlowCallRate(0.8, slow_call_seconds=2, window=TimeWindow(60, buckets=6), minimum_calls=20)
        | FailureCount(9, window=TimeWindow(30))
    )
    assert str(settings.backoff) == "30 s"
    assert (settings.success_threshold, settings.max_probes, settings.probe_timeout_seconds) == (2, 3, 20)
    assert (settings.overdue_after_seconds, settings.shadow, settings.failed_result(0)) == (0, True, True)


def test_a_mapping_means_the_same_as_a_file(tmp_path: Path) -> None:
    of_file = BreakerRegistry.from_config(str(write(tmp_path, FULL)))
    of_mapping = BreakerRegistry.from_config(tomllib.loads(FULL))
    for breaker in of_file:
        assert of_mapping.get(breaker.name).engine.machine.settings == breaker.engine.machine.settings


def test_a_mapping_may_contain_python_objects() -> None:
    rule, backoff, window = ConsecutiveFailures(9), ExponentialBackoff(initial_seconds=20), TimeWindow(30)
    registry = BreakerRegistry.from_config(
        {
            "breakers": {
                "a": {"trip_when": rule, "reset_timeout_seconds": backoff, "expected_exception": (OSError, "KeyError")},
                "b": {"trip_when": ({"failure_count": 7, "window": window},), "expected_exception": is_down},
                "c": {"trip_when": None, "failure_threshold": None, "failed_result": None},
            }
        }
    )
    a, b, c = (registry.breaker(name).engine.machine.settings for name in "abc")
    assert (a.trip_when, a.backoff, a.expected_exception) == (rule, backoff, (OSError, KeyError))
    assert (b.trip_when, b.expected_exception) == (FailureCount(7, window=window), is_down)
    assert c == CircuitBreaker().engine.machine.settings


def test_the_breakers_of_a_configuration_are_there_from_the_start() -> None:
    registry = BreakerRegistry.from_config({"breakers": {"payments": {}, "orders": {}}})
    assert set(registry.health()["breakers"]) == {"payments", "orders"}


def test_an_empty_configuration_is_a_registry_of_defaults() -> None:
    registry = BreakerRegistry.from_config({})
    assert (len(registry), registry.queue.capacity) == (0, 10_000)


def test_a_clock_can_be_given(clock: ManualClock) -> None:
    registry = BreakerRegistry.from_config({"breakers": {"payments": {}}}, clock=clock)
    assert registry.breaker("payments").snapshot().taken_monotonic == clock()


async def test_per_key_uses_the_groups_of_the_configuration() -> None:
    registry = BreakerRegistry.from_config({"per_key": {"web": {"failure_threshold": 4}}})

    @registry.per_key("web", key=str)
    async def fetch(host: str) -> str:
        return host

    await fetch("a")
    assert registry.get("web[a]").failure_threshold == 4
    with pytest.raises(ValueError, match="already defined differently"):
        registry.per_key("web", key=str, failure_threshold=5)


async def test_an_evicted_breaker_comes_back_as_configured() -> None:
    registry = BreakerRegistry.from_config({"max_breakers": 1, "breakers": {"payments": {"failure_threshold": 8}}})
    registry.breaker("other")
    assert "payments" not in registry
    assert registry.breaker("payments").failure_threshold == 8
    registry.breaker("other")
    registry.reconfigure("payments", max_probes=2)
    registry.reconfigure(failure_threshold=9, success_threshold=3)
    registry.breaker("other")
    settings = registry.breaker("payments").engine.machine.settings
    assert (settings.trip_when.threshold, settings.max_probes, settings.success_threshold) == (8, 2, 3)


def test_code_that_contradicts_the_configuration_is_refused_also_after_eviction() -> None:
    registry = BreakerRegistry.from_config({"max_breakers": 1, "breakers": {"payments": {"failure_threshold": 8}}})
    registry.breaker("other")
    with pytest.raises(ValueError, match="failure_threshold is 8, not 5"):
        registry.breaker("payments", failure_threshold=5)
    registry.breaker("other")
    with pytest.raises(ValueError, match="taken"):
        registry.add(CircuitBreaker("payments"))
    payments = registry.breaker("payments")
    assert registry.add(payments) is payments


def test_a_harmful_setting_in_a_configuration_causes_a_warning() -> None:
    with pytest.warns(ConfigurationWarning) as caught:
        BreakerRegistry.from_config(
            {"defaults": {"failure_threshold": 1}, "breakers": {"a": {"reset_timeout_seconds": 0}}}
        )
    assert [str(warning.message).partition(": ")[0] for warning in caught] == [
        "defaults.failure_threshold = 1",
        "breakers.a.reset_timeout_seconds = 0",
    ]
    assert {warning.filename for warning in caught} == {__file__}


HARMFUL = """
[defaults]
trip_when = { consecutive_failures = 2 }

[per_key."api.x"]
trip_when = [{ failure_count = 1 }, { failure_rate = 0.5, minimum_calls = 2 }]
reset_timeout_seconds = { initial_seconds = 0.5 }

[breakers.a]
failure_threshold = 1

[breakers.b]
trip_when = [[{ failure_count = 3 }], [{ consecutive_failures = 5 }, { consecutive_failures = 1, within_seconds = 9 }]]

[breakers.c]
trip_when = [{ consecutive_failures = 1 }]
"""


def test_a_warning_names_the_file_and_its_key(tmp_path: Path) -> None:
    path = write(tmp_path, HARMFUL)
    with pytest.warns(ConfigurationWarning) as caught:
        BreakerRegistry.from_config(path)
    assert [str(warning.message).rpartition(f"{path}: ")[2].partition(": ")[0] for warning in caught] == [
        "defaults.trip_when.consecutive_failures = 2",
        'per_key."api.x".trip_when[0].failure_count = 1',
        'per_key."api.x".trip_when[1].minimum_calls = 2',
        'per_key."api.x".reset_timeout_seconds.initial_seconds = 0.5',
        "breakers.a.failure_threshold = 1",
        "breakers.b.trip_when[1][1].consecutive_failures = 1",
        "breakers.c.trip_when[0].consecutive_failures = 1",
    ]
    assert all(str(warning.message).startswith(f"{path}: ") for warning in caught)


def test_a_warning_names_the_part_of_a_python_object() -> None:
    rule = FailureCount(5) | ConsecutiveFailures(1)
    backoff = ExponentialBackoff(initial_seconds=0.5)
    with pytest.warns(ConfigurationWarning) as caught:
        BreakerRegistry.from_config(
            {
                "breakers": {"a": {"trip_when": rule}, "b": {"trip_when": (ConsecutiveFailures(2),)}},
                "defaults": {"reset_timeout_seconds": backoff},
            }
        )
    assert [str(warning.message).partition(": ")[0] for warning in caught] == [
        "defaults.reset_timeout_seconds.initial_seconds = 0.5",
        "breakers.a.trip_when.rules[1].failures = 1",
        "breakers.b.trip_when[0].failures = 2",
    ]


def test_recommended_settings_cause_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BreakerRegistry.from_config({"defaults": {"failure_threshold": 5, "reset_timeout_seconds": 60}})


def test_every_setting_can_be_configured() -> None:
    assert SETTINGS.keys() == OPTIONS


WRONG = [
    ({"max_breaker": 5}, "max_breaker = 5 is unknown: did you mean max_breakers? Known keys are breakers, defaults, "),
    ({"zzz": {}}, "zzz = {} is unknown; known keys are breakers, defaults, max_breakers, per_key"),
    ({"max_breakers": 0}, "max_breakers must be an integer >= 1, not 0"),
    ({"max_breakers": "many"}, "max_breakers must be an integer >= 1, not 'many'"),
    (
        {"max_breakers": 1, "breakers": {"a": {}, "b": {}}},
        "max_breakers must be >= the number of configured breakers (2), not 1",
    ),
    (
        {"breakers": {str(number): {} for number in range(10_001)}},
        "max_breakers must be >= the number of configured breakers (10001), not 10000",
    ),
    ({"defaults": 5}, "defaults must be a table, not 5"),
    ({"breakers": {"payments": 5}}, "breakers.payments must be a table, not 5"),
    ({"breakers": {5: {}}}, "breakers.5 must have a string key, not 5"),
    ({"breakers": {"api.x": {"shadow": 1}}}, 'breakers."api.x".shadow must be True or False, not 1'),
    (
        {"breakers": {"payments": {"failure_treshold": 5}}},
        "breakers.payments.failure_treshold = 5 is unknown: did you mean failure_threshold? Known keys are describe",
    ),
    ({"per_key": {"web": {"max_probes": 0}}}, "per_key.web.max_probes must be an integer >= 1, not 0"),
    ({"per_key": {"web[a]": {}}}, 'per_key."web[a]": name must be without brackets, because they enclose the key'),
]
WRONG_DEFAULTS = [
    ({"failure_threshold": 0}, "failure_threshold must be an integer >= 1, not 0"),
    (
        {"failure_threshold": 5, "trip_when": {"failure_count": 5}},
        ": trip_when=5 failures in the last 60 s and failure_",
    ),
    ({"reset_timeout_seconds": -1}, "reset_timeout_seconds must be a finite number of seconds >= 0, not -1"),
    ({"reset_timeout_seconds": float("nan")}, "reset_timeout_seconds must be a finite number of seconds >= 0, not nan"),
    (
        {"reset_timeout_seconds": {"jitter": 2}},
        "reset_timeout_seconds.jitter must be a fraction with 0 <= fraction <= 1",
    ),
    (
        {"reset_timeout_seconds": {"multiplier": 0}},
        "reset_timeout_seconds.multiplier must be a finite number >= 1, not 0",
    ),
    (
        {"reset_timeout_seconds": {"seconds": 5}},
        "reset_timeout_seconds.seconds = 5 is unknown: did you mean maximum_seconds? Known keys are ",
    ),
    (
        {"reset_timeout_seconds": {"initial_seconds": 1, "maximum_seconds": 0.5}},
        "reset_timeout_seconds.maximum_seconds must be >= initial_sec",
    ),
    (
        {"reset_timeout_seconds": {}},
        "reset_timeout_seconds.initial_seconds must be a finite number of seconds > 0, and is missing",
    ),
    ({"trip_when": "often"}, "trip_when must be a table, not 'often'"),
    ({"trip_when": []}, "trip_when must be a trip rule or a list of one or more, not []"),
    (
        {"trip_when": {}},
        "trip_when must have exactly one of the keys consecutive_failures, failure_rate, failure_count, ",
    ),
    ({"trip_when": {"failure_rate": 0.5, "failure_count": 5}}, "trip_when must have exactly one of the keys "),
    ({"trip_when": {"failure_rte": 0.5}}, "trip_when.failure_rte = 0.5 is unknown: did you mean failure_rate? "),
    (
        {"trip_when": [{"failure_count": 5}, {"failure_rate": 2}]},
        "trip_when[1].failure_rate must be a rate with 0 < rate",
    ),
    ({"trip_when": {"failure_rate": 0.5, "window": 5}}, "trip_when.window must be a table, not 5"),
    (
        {"trip_when": {"failure_rate": 0.5, "window": {}}},
        "trip_when.window must have exactly one of the keys count, sec",
    ),
    (
        {"trip_when": {"failure_rate": 0.5, "window": {"count": 0}}},
        "trip_when.window.count must be an integer >= 1, not 0",
    ),
    (
        {"trip_when": {"failure_rate": 0.5, "window": {"count": 5, "buckets": 5}}},
        "trip_when.window.buckets = 5 is unknown; known keys are count",
    ),
    (
        {"trip_when": {"failure_rate": 0.5, "window": {"count": 10}, "minimum_calls": 20}},
        "trip_when.minimum_calls must be <= the window's size (10), not 20",
    ),
    (
        {"trip_when": {"failure_count": 20, "window": {"count": 10}}},
        "trip_when.failure_count must be <= the window's size (10), not 20",
    ),
    (
        {"trip_when": {"consecutive_failures": 10**7, "within_seconds": 5}},
        "trip_when.consecutive_failures must be an integer from 1 to 1000000, not 10000000",
    ),
    (
        {"trip_when": {"failure_count": 5, "window": {"count": 10**9}}},
        "trip_when.window.count must be an integer from 1 to ",
    ),
    (
        {"trip_when": {"slow_call_rate": 0.5}},
        "trip_when.slow_call_seconds must be a finite number of seconds > 0, and is m",
    ),
    (
        {"expected_exception": 5},
        "expected_exception must be an exception type, or name one, such as 'builtins.OSError',",
    ),
    ({"expected_exception": "int"}, "expected_exception must be an exception type, or name one"),
    ({"expected_exception": ["OSError", "int"]}, "expected_exception[1] must be an exception type, or name one"),
    (
        {"ignored_exception": ["OSError", "no.such.Error"]},
        "ignored_exception[1] must be an importable name, such as ",
    ),
    ({"expected_exception": "NoSuchError"}, "expected_exception must be an importable name, such as 'OSError' or "),
    ({"expected_exception": "a b.c"}, "expected_exception must be an importable name, such as 'OSError' or "),
    ({"expected_exception": "asyncio.sleep"}, "expected_exception must be a synchronous predicate"),
    ({"failed_result": "asyncio.sleep"}, "failed_result must be a synchronous predicate"),
    ({"expected_exception": ["OSError"], "trip_when": 5}, "trip_when must be a table, not 5"),
    ({"failed_result": 5}, "failed_result must name a predicate, such as 'package.module.function', not 5"),
    (
        {"failed_result": "math.pi"},
        "failed_result must name a predicate, such as 'package.module.function', not 'math.pi'",
    ),
    (
        {"overdue_after_seconds": -1},
        "overdue_after_seconds must be a number of seconds >= 0, or math.inf, not -1",
    ),
    ({"probe_timeout_seconds": 0}, "probe_timeout_seconds must be a finite number of seconds > 0, not 0"),
]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        *WRONG,
        *(
            ({"defaults": settings}, f"defaults{'' if message[0] == ':' else '.'}{message}")
            for settings, message in WRONG_DEFAULTS
        ),
    ],
    ids=lambda case: str(case)[:60],
)
def test_what_is_wrong_is_refused_with_its_path(config: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        BreakerRegistry.from_config(config)
    assert str(caught.value).startswith(message)


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[defaults]\nfailure_threshold = 0")
    with pytest.raises(ValueError, match="defaults.failure_threshold must be an integer >= 1, not 0") as caught:
        BreakerRegistry.from_config(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("content", [b"[defaults", b"\xff\xfe"], ids=["no TOML", "no UTF-8"])
def test_a_file_that_is_no_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "breakers.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"breakers\.toml is not TOML: ") as caught:
        BreakerRegistry.from_config(path)
    assert caught.value.__cause__ is not None


NESTED = {
    "lists": "x = " + "[" * 10_000,
    "inline tables": "x = " + "{x = " * 10_000,
    "dotted keys": "[defaults]\n" + ".".join("x" * 3_000) + " = 1",
    "a header": "[" + ".".join("x" * 3_000) + "]",
    "few levels": "[" + ".".join("x" * 40) + "]",
}


@pytest.mark.parametrize("content", NESTED.values(), ids=NESTED)
def test_a_file_that_is_nested_too_deeply_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match="nested too deeply") as caught:
        BreakerRegistry.from_config(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"window": value}], ids=["lists", "tables"])
@pytest.mark.parametrize("setting", ["trip_when", "expected_exception", "shadow"])
def test_a_mapping_that_is_nested_too_deeply_is_refused(wrap: Callable[[object], object], setting: str) -> None:
    value: object = {"failure_count": 3}
    for _ in range(10_000):
        value = wrap(value)
    with pytest.raises(
        ValueError, match="^the configuration is nested too deeply; the top-level keys .* are max_break"
    ):
        BreakerRegistry.from_config({"defaults": {setting: value}})


def test_a_list_that_lies_within_itself_is_refused_as_nested_too_deeply() -> None:
    rules: list[object] = []
    rules += [rules, rules]
    with pytest.raises(ValueError, match="nested too deeply"):
        BreakerRegistry.from_config({"defaults": {"trip_when": rules}})


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"breakers\.toml"):
        BreakerRegistry.from_config(tmp_path / "breakers.toml")


def test_a_source_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="source must be a mapping or the path of a TOML file, not namespace"):
        BreakerRegistry.from_config(SimpleNamespace())


def test_a_module_that_cannot_be_imported_is_reported_with_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_settings_module.py").write_text("1 / 0", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="not 'broken_settings_module.Error': division by zero") as caught:
        BreakerRegistry.from_config({"defaults": {"expected_exception": "broken_settings_module.Error"}})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
