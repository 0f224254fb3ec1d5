"""Wrong uses of fallbacks: mypy and pyright must both see the error on each marked line."""

# pyright: strict

from collections.abc import AsyncGenerator

from recloser import Constant, Fallback, Pipeline, Timeout


async def fetch(user_id: int) -> str:
    return str(user_id)


def cached(user_id: int) -> str:
    return str(user_id)


async def stream(user_id: int) -> AsyncGenerator[int, None]:
    yield user_id


@Fallback(cached, Constant(None))
async def get(user_id: int) -> str:
    return str(user_id)


class Client:
    @classmethod
    @Fallback(Constant(None))
    async def load(cls, key: str) -> bytes:
        return key.encode()


async def made() -> None:
    # What is fallen back to is given here; the primary comes later, and not the argument of a call.
    await Fallback(fetch, cached)(7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    # A plain function is not decorated.
    Fallback(cached)(cached)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    # Nor is a stream.
    Fallback(cached)(stream)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    # A default is given as a constant.
    Fallback("guest")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    # A name of an exception is no exception.
    Fallback(cached, on="OSError")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    # There is no such argument.
    Fallback(cached, when=OSError)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def called() -> None:
    # A string is no number.
    await get("seven")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # Nor in detail.
    await get.detailed("seven")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # The answer may be None.
    name: str = await get(7)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    # The value of an answer is not the answer.
    name = await get.detailed(7)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    # An answer is not changed.
    (await get.detailed(7)).source = name  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    # A class method is a plain function to type checkers.
    await Client.load.detailed(Client, "key")  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    # A string is no number in a call either.
    await Fallback(cached).call(fetch, "seven")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    # A protected function is no policy.
    Pipeline(get, Timeout(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
