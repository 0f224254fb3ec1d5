"""What a chain counts, logs and leaves behind, and what its links are called."""

import functools
import gc
import logging
import weakref

import pytest

from recloser import Constant, Fallback, NoAnswer, RejectedError
from recloser.errors import FallbackExhaustedError
from tests.fallback.kit import DownError, Source, lines, rejecting

pytestmark = pytest.mark.anyio


async def test_answers_and_errors_are_counted_per_source() -> None:
    primary, cache = rejecting("primary"), Source("cache", NoAnswer())
    chain = Fallback(primary, cache)
    with pytest.raises(FallbackExhaustedError):
        await chain()
    cache.end = "cached"
    await chain()
    primary.end = DownError()
    with pytest.raises(DownError):
        await chain()
    primary.end = "fine"
    await chain()
    await chain.detailed()
    assert chain.health() == {
        "links": {
            "primary": {"answers_total": 2, "errors_total": 3},
            "cache": {"answers_total": 1, "errors_total": 1},
        },
        "exhausted_total": 1,
    }


async def test_each_step_down_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    down = Source("primary", DownError("down"))
    await Fallback(down, Source("cache", NoAnswer("missed")), Constant(0), on=DownError, name="get_user")()
    assert lines(caplog) == [
        ("WARNING", "Fallback 'get_user' moved on from 'primary' to 'cache': DownError: down"),
        ("WARNING", "Fallback 'get_user' moved on from 'cache' to 'constant': NoAnswer: missed"),
    ]


async def test_an_exhausted_chain_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FallbackExhaustedError):
        await Fallback(Source("cache", NoAnswer("missed")))()
    assert lines(caplog) == [("ERROR", "Fallback 'cache' has no link left after 'cache': NoAnswer: missed")]


async def test_an_answer_and_an_exception_that_ends_a_chain_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    await Fallback(Source("primary"))()
    with pytest.raises(DownError):
        await Fallback(Source("primary", DownError()), Constant(0))()
    assert lines(caplog) == []


async def test_a_log_handler_that_raises_does_not_reach_the_caller() -> None:
    class Rude(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise ValueError(record)

    rude, logger = Rude(), logging.getLogger("recloser")
    logger.addHandler(rude)
    try:
        assert await Fallback(rejecting(), Constant(0))() == 0
    finally:
        logger.removeHandler(rude)


@pytest.mark.parametrize("ends", ["answers", "is exhausted", "raises"])
async def test_a_call_that_steps_down_leaves_no_garbage_in_cycles(ends: str) -> None:
    gone = []

    class Witness:
        def __init__(self) -> None:
            gone.append(weakref.ref(self))

    async def reject() -> None:
        witness = Witness()
        raise RejectedError(str(witness))

    async def end() -> object:
        witness = Witness()
        if ends == "answers":
            return "answer"
        raise (NoAnswer if ends == "is exhausted" else DownError)(str(witness))

    chain = Fallback(reject, reject, Fallback(reject, end))
    gc.collect()
    gc.disable()
    try:
        for ask in (chain, chain.detailed):
            try:
                await ask()
            except (FallbackExhaustedError, DownError) as error:
                del error
        assert [ref() for ref in gone] == [None] * 8
    finally:
        gc.enable()


async def test_links_of_one_name_are_told_apart() -> None:
    chain = Fallback(rejecting("fetch"), rejecting("fetch-2"), rejecting("fetch"), Source("fetch"))
    assert chain.sources == ("fetch", "fetch-2", "fetch-3", "fetch-4")
    assert (await chain.detailed()).source == "fetch-4"


def test_a_chain_is_named_after_its_first_link() -> None:
    assert Fallback(functools.partial(rejecting, 1), Constant(0)).name == "rejecting"
    assert Fallback(Source("primary"), name="get_user").name == "get_user"
    assert repr(Fallback(Source("primary"), Constant(0), name="get")) == "<Fallback 'get': primary, constant>"


def test_a_callable_without_a_name_has_that_of_its_type() -> None:
    class Client:
        def __call__(self) -> int:
            return 1

    assert Fallback(Client()).sources == ("Client",)
