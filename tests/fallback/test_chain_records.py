"""What a chain counts, logs and leaves behind, and what its links are called."""

import functools
import gc
import logging
import weakref

import anyio
import pytest

from recloser import Bulkhead, Constant, Fallback, NoAnswer, RejectedError
from recloser.errors import FallbackExhaustedError
from tests.fallback.kit import DownError, Source, lines, protect, rejecting

pytestmark = pytest.mark.anyio


async def test_answers_and_errors_are_counted_per_source() -> None:
    primary, cache = rejecting("primary"), Source("cache", NoAnswer())
    chain = protect(primary, cache)
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
        "kind": "fallback",
        "name": "primary",
        "links": {
            "primary": {"answers_total": 2, "errors_total": 3},
            "cache": {"answers_total": 1, "errors_total": 1},
        },
        "exhausted_total": 1,
    }


async def test_each_step_down_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    down = Source("primary", DownError("down"))
    await protect(down, Source("cache", NoAnswer("missed")), Constant(0), on=DownError, name="get_user")()
    assert lines(caplog) == [
        ("WARNING", "Fallback 'get_user' moved on from 'primary' to 'cache': DownError"),
        ("WARNING", "Fallback 'get_user' moved on from 'cache' to 'constant': NoAnswer"),
    ]


async def test_an_exhausted_chain_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FallbackExhaustedError):
        await protect(Source("primary", NoAnswer("down")), Source("cache", NoAnswer("missed")))()
    assert lines(caplog) == [
        ("WARNING", "Fallback 'primary' moved on from 'primary' to 'cache': NoAnswer"),
        ("ERROR", "Fallback 'primary' has no link left after 'cache': NoAnswer"),
    ]


async def test_an_answer_and_an_exception_that_ends_a_chain_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    await protect(Source("primary"), Constant(0))()
    with pytest.raises(DownError):
        await protect(Source("primary", DownError()), Constant(0))()
    assert lines(caplog) == []


async def test_a_log_handler_that_raises_does_not_reach_the_caller() -> None:
    class Rude(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise ValueError(record)

    rude, logger = Rude(), logging.getLogger("recloser")
    logger.addHandler(rude)
    try:
        assert await protect(rejecting(), Constant(0))() == 0
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

    inner = protect(reject, end)
    chain = protect(reject, reject, inner)
    called = functools.partial(Fallback(reject, inner).call, reject)
    gc.collect()
    gc.disable()
    try:
        for ask in (chain, chain.detailed, called, Bulkhead(1)(chain).detailed):
            try:
                await ask()
            except (FallbackExhaustedError, DownError) as error:
                del error
        assert [ref() for ref in gone] == [None] * 16
    finally:
        gc.enable()


async def test_links_of_one_name_are_told_apart() -> None:
    chain = protect(rejecting("fetch"), rejecting("fetch-2"), rejecting("fetch"), Source("fetch"))
    assert chain.sources == ("fetch", "fetch-2", "fetch-3", "fetch-4")
    assert (await chain.detailed()).source == "fetch-4"


def test_a_partial_is_named_after_its_function() -> None:
    assert protect(functools.partial(anyio.sleep, 1), Constant(0)).sources == ("sleep", "constant")


def test_a_callable_without_a_name_has_that_of_its_type() -> None:
    class Client:
        async def __call__(self) -> int:
            return 1

    assert protect(Client(), Client()).sources == ("Client", "Client-2")


@pytest.mark.parametrize(("name", "logged"), [(None, "primary"), ("get_user", "get_user")])
@pytest.mark.parametrize("decorated", [True, False], ids=["decorated", "called"])
async def test_in_logs_and_errors_a_fallback_has_its_name_or_that_of_the_function(
    caplog: pytest.LogCaptureFixture, name: str | None, logged: str, *, decorated: bool
) -> None:
    fallback, primary = Fallback(Source("cache", NoAnswer()), name=name), rejecting()
    ask = fallback(primary) if decorated else functools.partial(fallback.call, primary)
    with pytest.raises(FallbackExhaustedError, match=f"^Fallback '{logged}' has no answer: 'primary': ") as caught:
        await ask()
    assert (caught.value.name, caught.value.sources) == (logged, ("primary", "cache"))
    assert [line.split("'")[1] for _, line in lines(caplog)] == [logged] * 2
