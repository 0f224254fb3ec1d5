"""The bounds of a memory, and what is refused as one."""

import math
import sys

import pytest

from recloser import LastKnownGood
from tests.fallback.kit import Source


def test_its_bounds_can_be_read() -> None:
    memory = LastKnownGood(60, 10)
    assert (memory.ttl_seconds, memory.max_entries, memory.name) == (60.0, 10, "last_known_good")
    assert repr(memory) == "LastKnownGood(ttl_seconds=60.0, max_entries=10)"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ttl_seconds": 0}, ValueError, "ttl_seconds must be a finite number of seconds > 0, not 0"),
        ({"ttl_seconds": math.inf}, ValueError, "ttl_seconds must be"),
        ({"ttl_seconds": "60"}, TypeError, "ttl_seconds must be"),
        ({"max_entries": 0}, ValueError, "max_entries must be an integer >= 1, not 0"),
        ({"max_entries": 1.5}, TypeError, "max_entries must be"),
        ({"key": "id"}, TypeError, "key must be a synchronous function of a call's arguments or None, not 'id'"),
        ({"key": Source("key")}, TypeError, "key must be a synchronous function"),
        ({"clock": 7}, TypeError, "clock must be a function that returns monotonic seconds, not 7"),
        ({"name": 7}, TypeError, "name must be a string, not 7"),
    ],
)
def test_what_is_out_of_range_is_refused(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LastKnownGood(**{"ttl_seconds": 60, "max_entries": 10, **options})


@pytest.fixture
def _without_cachetools(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hidden:
        def find_spec(self, name: str, *_: object) -> None:
            if name.partition(".")[0] == "cachetools":
                raise ModuleNotFoundError(name)

    for name in [name for name in sys.modules if name.partition(".")[0] == "cachetools"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])


@pytest.mark.usefixtures("_without_cachetools")
def test_without_cachetools_the_error_names_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"LastKnownGood needs cachetools: pip install 'recloser\[cache\]'"):
        LastKnownGood(60, 10)
