"""`NoAnswer` and `FallbackExhaustedError` as exceptions: the tree, pickling, groups and their parts."""

import copy
import pickle

import pytest

from recloser import NoAnswer, RecloserError, RejectedError
from recloser.errors import FallbackExhaustedError


def exhausted() -> FallbackExhaustedError:
    inner = ExceptionGroup("both", [OSError(1), KeyError(2)])
    return FallbackExhaustedError("no answer", (NoAnswer("missed"), inner), "get_user", ("cache", "replicas"))


def test_the_tree_of_exceptions() -> None:
    assert issubclass(FallbackExhaustedError, RecloserError)
    assert issubclass(FallbackExhaustedError, ExceptionGroup)
    assert issubclass(NoAnswer, RecloserError)
    assert not issubclass(NoAnswer, RejectedError)


def pickled(error: FallbackExhaustedError) -> object:
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - what it has written itself


@pytest.mark.parametrize("duplicate", [pickled, copy.copy])
def test_an_exhausted_chain_pickles_and_copies_with_its_fields_and_notes(duplicate: object) -> None:
    error = exhausted()
    error.add_note("kept")
    again = duplicate(error)
    assert type(again) is FallbackExhaustedError
    assert (str(again), again.name, again.sources) == (
        "no answer (2 sub-exceptions)",
        "get_user",
        ("cache", "replicas"),
    )
    assert [(source, repr(exc)) for source, exc in again.errors] == [(s, repr(e)) for s, e in error.errors]
    assert again.__notes__ == ["kept"]


def test_a_split_keeps_the_class_and_tells_where_each_part_came_from() -> None:
    error = exhausted()
    match, rest = error.split(OSError)
    assert (match.name, match.sources, repr(match.exceptions)) == (
        "get_user",
        ("replicas",),
        "(ExceptionGroup('both', [OSError(1)]),)",
    )
    assert rest.sources == ("cache", "replicas")
    assert error.subgroup(NoAnswer).errors == (("cache", error.exceptions[0]),)


def test_except_star_takes_the_parts_and_leaves_the_rest() -> None:
    missed = []

    def handle() -> None:
        try:
            raise exhausted()
        except* NoAnswer as group:
            missed.extend(group.exceptions)

    with pytest.raises(FallbackExhaustedError) as caught:
        handle()
    assert [str(error) for error in missed] == ["missed"]
    assert caught.value.sources == ("replicas",)
