"""The connections of the store in Redis, with a scripted connection in place of a server."""

import asyncio
from typing import Any

import pytest

from recloser.fleet import FleetStoreError
from recloser.fleet._store.connection import PipelinedConnection, RedisEndpoint, RedisSubscription

pytestmark = pytest.mark.anyio

MESSAGE = [b"message", b"cb:default:ev", b"v1|payments|7|closed|0|0|0||"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class ScriptedConnection:
    """Returns the given replies; None stands for no reply within the time limit."""

    def __init__(self, *replies: object) -> None:
        self._replies = list(replies)
        self.sent: list[str] = []
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True

    async def read_response(self, **_: object) -> object:
        reply = self._replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def pack_commands(self, commands: list[object]) -> list[object]:
        return commands

    async def send_packed_command(self, packed: list[str], **_: object) -> None:
        self.sent.extend(packed)

    async def send_command(self, *command: Any, **_: object) -> None:  # noqa: ANN401 - as of redis-py
        self.sent.extend(command)


def subscription(*replies: object) -> tuple[RedisSubscription, ScriptedConnection]:
    connection = ScriptedConnection(*replies)
    return RedisSubscription(connection, RedisEndpoint("redis://localhost", 1, 1), 5.0), connection


async def test_silence_is_ended_by_a_ping_and_its_answer_is_no_message() -> None:
    messages, connection = subscription(None, [b"pong", b""], MESSAGE)
    assert (await anext(messages)).shared.generation == 7
    assert connection.sent == ["PING"]


async def test_a_message_answers_a_ping_as_well() -> None:
    messages, connection = subscription(None, MESSAGE)
    assert (await anext(messages)).name == "payments"
    assert connection.sent == ["PING"]


async def test_no_answer_to_a_ping_is_the_end() -> None:
    messages, connection = subscription(None, None)
    with pytest.raises(FleetStoreError, match="no answer to PING"):
        await anext(messages)
    assert connection.is_aborted


@pytest.mark.parametrize("reply", [7, b"x", [], [b"message"], [b"pmessage", b"a", b"b", b"c"], [b"subscribe", b"a", 1]])
async def test_what_a_server_says_besides_is_left_out(reply: object) -> None:
    messages, _ = subscription(reply, MESSAGE)
    assert (await anext(messages)).name == "payments"


@pytest.mark.parametrize("error", [OSError("gone"), EOFError(), RuntimeError("odd")])
async def test_whatever_goes_wrong_is_a_store_error(error: Exception) -> None:
    messages, _ = subscription(error)
    with pytest.raises(FleetStoreError, match=type(error).__name__):
        await anext(messages)


async def test_a_cancelled_wait_leaves_the_connection_alone() -> None:
    messages, _ = subscription(asyncio.CancelledError(), MESSAGE)
    with pytest.raises(asyncio.CancelledError):
        await anext(messages)
    assert (await anext(messages)).name == "payments"


async def test_one_connection_answers_each_in_turn() -> None:
    connection = ScriptedConnection("one", "two", "three")
    pipeline = PipelinedConnection(connection)
    replies = await asyncio.gather(pipeline.exchange(["a", "b"]), pipeline.exchange(["c"]))
    assert replies == [["one", "two"], ["three"]]
    assert connection.sent == ["a", "b", "c"]


async def test_a_connection_that_failed_one_answers_nobody_else() -> None:
    pipeline = PipelinedConnection(ScriptedConnection(OSError("gone"), "late"))
    results = await asyncio.gather(pipeline.exchange(["a"]), pipeline.exchange(["b"]), return_exceptions=True)
    assert [str(result) for result in results] == ["gone", "the connection was given up"]
    with pytest.raises(Exception, match="given up"):
        await pipeline.exchange(["c"])
