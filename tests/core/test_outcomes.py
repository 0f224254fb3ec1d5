import asyncio
from typing import Any

import pytest

from recloser._core.outcomes import CACHED_TYPES, Classifier, Outcome, causes, leaves
from tests.core.driver import F, I, S


class DownError(Exception):
    pass


class WorseError(DownError):
    pass


class MissingError(Exception):
    pass


class RefusedError(Exception):
    """Stands for a rejection by another breaker."""


class MissError(Exception):
    """Stands for a cache that has no answer."""


class CrowdError(ExceptionGroup[Exception]):
    pass


def is_cancellation(exc: BaseException) -> bool:
    return isinstance(exc, asyncio.CancelledError)


def classifier(expected: Any = Exception, ignored: Any = ()) -> Classifier:  # noqa: ANN401 - wrong types are not tried
    return Classifier(
        expected,
        ignored,
        is_exempt=lambda exc: isinstance(exc, RefusedError),
        never_expected=(MissError,),
        is_cancellation=is_cancellation,
    )


def group(*parts: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("several", parts)


class Asked:
    """A predicate that remembers what it was asked."""

    def __init__(self, *wanted: type[BaseException]) -> None:
        self.wanted = wanted
        self.asked: list[BaseException] = []

    def __call__(self, exc: BaseException) -> object:
        self.asked.append(exc)
        return isinstance(exc, self.wanted)


@pytest.mark.parametrize(
    ("expected", "exc", "outcome"),
    [
        (Exception, ValueError(), F),
        (DownError, DownError(), F),
        (DownError, WorseError(), F),
        (WorseError, DownError(), S),
        (DownError, ValueError(), S),
        ((DownError, OSError), TimeoutError(), F),
        ((DownError, OSError), ValueError(), S),
        ((), ValueError(), S),
        (lambda exc: isinstance(exc, DownError), DownError(), F),
        (lambda exc: isinstance(exc, DownError), ValueError(), S),
        (lambda exc: exc.args and exc.args[0], DownError(0), S),
        (lambda exc: exc.args and exc.args[0], DownError(503), F),
    ],
)
def test_what_is_expected_is_a_failure_and_every_other_exception_an_answer(
    expected: Any,  # noqa: ANN401 - types, tuples and predicates
    exc: BaseException,
    outcome: Outcome,
) -> None:
    assert classifier(expected).classify(exc) is outcome


@pytest.mark.parametrize("ignored", [MissingError, (MissingError, KeyError), lambda exc: isinstance(exc, MissingError)])
def test_what_is_ignored_beats_what_is_expected(ignored: Any) -> None:  # noqa: ANN401 - types, tuples and predicates
    classify = classifier(Exception, ignored).classify
    assert classify(MissingError()) is I
    assert classify(DownError()) is F


def test_a_predicate_for_failures_is_not_asked_about_what_is_ignored() -> None:
    expected = Asked(Exception)
    assert classifier(expected, MissingError).classify(MissingError()) is I
    assert not expected.asked


@pytest.mark.parametrize("expected", [Exception, BaseException, RefusedError, lambda _: True])
def test_a_rejection_by_another_breaker_is_ignored_even_if_it_is_expected(
    expected: Any,  # noqa: ANN401 - types, tuples and predicates
) -> None:
    assert classifier(expected, MissingError).classify(RefusedError()) is I
    assert classifier(expected, MissingError).classify(group(RefusedError())) is I


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_base_exception_is_ignored_unless_a_type_names_it(kind: type[BaseException]) -> None:
    assert classifier(Exception).classify(kind()) is I
    assert classifier(()).classify(kind()) is I
    assert classifier(kind).classify(kind()) is F
    assert classifier(BaseException).classify(kind()) is F
    assert classifier(BaseException, kind).classify(kind()) is I


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_predicates_are_not_asked_about_base_exceptions(kind: type[BaseException]) -> None:
    expected, ignored = Asked(BaseException), Asked()
    classify = classifier(expected, ignored).classify
    assert classify(kind()) is I
    assert classify(group(kind())) is I
    assert not expected.asked
    assert not ignored.asked


@pytest.mark.parametrize(
    ("leaves", "outcome"),
    [
        ([DownError()], F),
        ([ValueError()], S),
        ([MissingError()], I),
        ([MissingError(), DownError()], F),
        ([ValueError(), DownError()], F),
        ([MissingError(), ValueError()], S),
        ([MissingError(), RefusedError()], I),
        ([KeyboardInterrupt(), ValueError()], S),
        ([KeyboardInterrupt(), DownError()], F),
        ([KeyboardInterrupt()], I),
        ([group(ValueError(), group(DownError()))], F),
        ([group(MissingError(), group(ValueError())), MissingError()], S),
        ([group(MissingError(), group(MissingError()))], I),
        ([asyncio.CancelledError()], I),
        ([asyncio.CancelledError(), DownError()], F),
        ([asyncio.CancelledError(), ValueError()], S),
        ([asyncio.CancelledError(), MissingError()], I),
        ([group(asyncio.CancelledError(), group(asyncio.CancelledError()))], I),
    ],
)
def test_a_group_fails_if_any_leaf_does_and_is_ignored_if_all_are(
    leaves: list[BaseException], outcome: Outcome
) -> None:
    assert classifier(DownError, MissingError).classify(group(*leaves)) is outcome


def test_a_cancellation_in_a_group_does_not_count_even_if_base_exceptions_do() -> None:
    classify = classifier(BaseException).classify
    assert classify(group(asyncio.CancelledError())) is I
    assert classify(group(asyncio.CancelledError(), KeyboardInterrupt())) is F


def test_a_predicate_is_asked_about_each_leaf_and_never_about_a_group() -> None:
    expected, ignored = Asked(DownError), Asked(MissingError)
    down, value, missing = DownError(), ValueError(), MissingError()
    assert classifier(expected, ignored).classify(group(down, group(value, missing))) is F
    assert sorted(map(id, ignored.asked)) == sorted(map(id, (down, value, missing)))
    assert sorted(map(id, expected.asked)) == sorted(map(id, (down, value)))


@pytest.mark.parametrize("expected", [CrowdError, (DownError, CrowdError)])
def test_a_group_type_that_is_named_is_judged_as_a_whole(expected: Any) -> None:  # noqa: ANN401 - a type or a tuple
    classify = classifier(expected).classify
    assert classify(CrowdError("all of them", [ValueError()])) is F
    assert classify(ExceptionGroup("others", [ValueError()])) is S


def test_the_outcome_of_one_group_is_not_remembered_for_others() -> None:
    judged = classifier(CrowdError)
    assert judged.classify(CrowdError("all of them", [ValueError()])) is F
    assert CrowdError not in judged.outcome_by_type


def test_a_group_type_can_be_named_as_ignored() -> None:
    classify = classifier(Exception, CrowdError).classify
    assert classify(CrowdError("all of them", [DownError()])) is I
    assert classify(ExceptionGroup("others", [DownError()])) is F


def test_a_predicate_that_raises_is_heard() -> None:
    def broken(exc: BaseException) -> object:
        raise LookupError from exc

    with pytest.raises(LookupError):
        classifier(broken).classify(DownError())
    with pytest.raises(LookupError):
        classifier(Exception, broken).classify(group(DownError()))


def test_outcomes_are_remembered_per_type() -> None:
    judging = classifier(DownError, MissingError)
    for exc in (DownError(), ValueError(), MissingError(), KeyboardInterrupt()):
        judging.classify(exc)
    assert judging.outcome_by_type == {DownError: F, ValueError: S, MissingError: I, KeyboardInterrupt: I}


def test_no_outcome_is_remembered_where_a_predicate_may_change_its_mind() -> None:
    answers = iter([True, False])
    judging = classifier(lambda _: next(answers))
    assert [judging.classify(DownError()), judging.classify(DownError())] == [F, S]
    assert not judging.outcome_by_type
    judging = classifier(Exception, lambda exc: bool(exc.args))
    assert [judging.classify(DownError(1)), judging.classify(DownError())] == [I, F]
    assert not judging.outcome_by_type


def test_no_outcome_is_remembered_for_a_group_that_is_judged_by_its_leaves() -> None:
    judging = classifier(DownError)
    assert judging.classify(group(DownError())) is F
    assert judging.classify(group(ValueError())) is S
    assert not judging.outcome_by_type


def test_memory_of_outcomes_is_bounded() -> None:
    judging = classifier(DownError)
    for number in range(3 * CACHED_TYPES):
        made = type(f"Made{number}Error", (DownError,), {})
        assert judging.classify(made()) is F
        assert len(judging.outcome_by_type) <= CACHED_TYPES
    assert judging.outcome_by_type


@pytest.mark.parametrize("expected", [Exception, MissError, lambda _: True])
def test_what_is_never_expected_is_a_success_whatever_is_expected(expected: object) -> None:
    assert classifier(expected).classify(MissError()) is S
    assert classifier(expected).classify(group(MissError(), MissError())) is S


def test_what_is_never_expected_says_nothing_beside_others() -> None:
    assert classifier().classify(group(MissError(), RefusedError())) is I
    assert classifier().classify(group(MissError(), DownError())) is F
    assert classifier(DownError).classify(group(MissError(), ValueError())) is S


def test_what_is_never_expected_is_ignored_if_it_is_ignored() -> None:
    assert classifier(Exception, MissError).classify(MissError()) is I


def test_the_leaves_of_a_group_come_in_order() -> None:
    first, second, third, last = DownError(1), WorseError(2), MissingError(3), KeyboardInterrupt()
    assert list(leaves(group(first, group(second, group(third)), last))) == [first, second, third, last]


def test_any_other_exception_is_its_own_leaf() -> None:
    error = DownError()
    assert list(leaves(error)) == [error]


def test_groups_may_be_nested_to_any_depth() -> None:
    error: BaseException = DownError()
    for _ in range(10_000):
        error = group(error)
    assert [type(leaf) for leaf in leaves(error)] == [DownError]


def test_the_causes_of_an_exception_come_nearest_first_and_each_once() -> None:
    root, near, far, aside, member = KeyError(), LookupError(), DownError(), RefusedError(), MissError()
    root.__cause__ = group(near, member)
    root.__context__ = aside
    near.__context__, far.__context__ = far, root
    root.__suppress_context__ = True
    assert [*causes(root)] == [root, root.__cause__, aside, near, member, far]


def test_an_exception_that_was_handled_before_is_left_out_with_what_led_to_it() -> None:
    root, handled, near = KeyError(), LookupError(), DownError()
    root.__cause__, root.__context__, handled.__context__ = near, handled, RefusedError()
    assert [*causes(root, handled=id(handled))] == [root, near]


def test_an_exception_that_nothing_led_to_is_its_only_cause() -> None:
    error = DownError()
    assert [*causes(error)] == [error]
