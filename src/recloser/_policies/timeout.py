"""Timeout: cancels a call that takes too long, and fails it."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any

import anyio

from recloser._core import checks
from recloser._policies.policy import Policy, is_awaitable
from recloser.errors import CallTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._policies.policy import Wrapped


class Timeout(Policy):
    """Gives each call a deadline. A call that misses it is cancelled, and `CallTimeoutError` is raised.

    Only this deadline becomes a `CallTimeoutError`. A TimeoutError of the function itself and the deadline of a scope
    around the call pass through unchanged. If the function returns, its result is returned, however late it is. A
    function that suppresses its cancellation, or shields itself from it, is waited for.

    Put it inside the breaker, where a call that is too slow counts as a failure. Outside the breaker it counts too, but
    the breaker has to infer the deadline from the cancellation.

    Args:
        seconds: How long a call may take (finite, > 0).
        name: Name in errors; `timeout-<n>` if not given.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: `seconds` is out of its range.
    """

    __slots__ = ("_seconds",)

    kind = "timeout"
    _no_generators = (
        "a cancel scope must not stay open across a yield; put `with anyio.fail_after(...)` around the loop over it"
    )

    def __init__(self, seconds: float, *, name: str | None = None) -> None:
        super().__init__(name)
        self._seconds = checks.seconds("seconds", seconds)

    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            # Not fail_after(): its TimeoutError could not be distinguished from one of the function.
            with anyio.move_on_after(self._seconds):
                result = fn(*args, **kwargs)
                if type(result) is CoroutineType or is_awaitable(result):
                    result = await result
                return result
            raise CallTimeoutError(self._name, self._seconds)

        return protected

    def _settings(self) -> str:
        return f"{self._seconds:g} s"
