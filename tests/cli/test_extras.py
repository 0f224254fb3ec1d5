import importlib
import sys

import pytest

from recloser.cli.extras import MissingExtraError, extra


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.table", None)
    message = r"^rich is not installed; this needs: pip install 'recloser\[demo\]'$"
    with pytest.raises(MissingExtraError, match=message), extra("demo"):
        importlib.import_module("rich.table")


def test_a_module_of_our_own_that_is_missing_is_a_bug_and_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"recloser\.nothing") as raised, extra("demo"):
        importlib.import_module("recloser.nothing")
    assert not isinstance(raised.value, MissingExtraError)


def test_what_can_be_imported_is_imported() -> None:
    with extra("demo"):
        assert importlib.import_module("json").loads("1") == 1
