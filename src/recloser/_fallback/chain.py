"""The way down a fallback chain: one link after the other, until one has an answer.

* A link is left behind for an `Exception` that says so (see `Condition`), never for a cancellation or another
  `BaseException`: those pass at once, and nothing is counted, logged or noted on them.
* Any other exception ends the chain and reaches the caller, the same object; the errors before it become its notes.
* What `on=` and the log raise never reaches the caller.
* The exceptions of earlier links hold the frames of this package, so that these let go of them at the end: no cycle is
  left for the garbage collector.
"""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from recloser._breaker.dispatch import describe, log
from recloser._breaker.functions import is_kind
from recloser._fallback.links import Found, Link, MemoryLink
from recloser.errors import FallbackExhaustedError, NoAnswer, RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from recloser._fallback.memory import Memo

    Condition = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], object]
    Errors = tuple[tuple[str, Exception], ...]

ALWAYS = (RejectedError, NoAnswer, FallbackExhaustedError)


class Chain:
    """Links in their order, and what each of them has done so far."""

    __slots__ = (
        "__weakref__",
        "_answers",
        "_errors",
        "_exhausted",
        "_links",
        "_memories",
        "_name",
        "_predicate",
        "_remembers",
        "_sources",
        "_types",
    )

    _remembers: bool
    """Whether there is a memory in the chain, or in a chain within it."""

    def __init__(self, links: Sequence[Link], on: Condition, name: str | None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        self._types, self._predicate = _condition(on)
        self._links = tuple(links)
        self._memories = tuple(link for link in links if isinstance(link, MemoryLink))
        self._remembers = bool(self._memories) or any(isinstance(link, Chain) and link._remembers for link in links)
        self._name = links[0].name if name is None else name
        self._sources = _told_apart([link.name for link in links])
        self._answers = [0] * len(links)
        self._errors = [0] * len(links)
        self._exhausted = 0

    @property
    def name(self) -> str:
        """The chain's name."""
        return self._name

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the links, in order; those that have the same one are numbered."""
        return self._sources

    def health(self) -> dict[str, Any]:
        """Return what each link has done so far, as a JSON-ready dictionary; safe from any thread.

        Cancelled calls are counted nowhere.
        """
        counts = zip(self._sources, self._answers, self._errors, strict=True)
        return {
            "links": {source: {"answers_total": a, "errors_total": e} for source, a, e in counts},
            "exhausted_total": self._exhausted,
        }

    async def _ask(self, args: tuple[Any, ...], kwargs: dict[str, Any], memos: Mapping[MemoryLink, Memo], /) -> Found:
        """Answer as a link of another chain."""
        return await self._walk(self._links, None, args, kwargs, memos=memos)

    def _memos(
        self, links: tuple[Link, ...], subject: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Mapping[MemoryLink, Memo]:
        """Return what the call is remembered by, in the chains within too: what can't be is refused here and now."""
        memos = {link: link.memo(subject, args, kwargs) for link in self._memories}
        for link in links:
            if isinstance(link, Chain):
                memos.update(link._memos(link._links, None, args, kwargs))
        return memos

    async def _walk(
        self,
        links: tuple[Link, ...],
        subject: Hashable,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        errors: Errors = (),
        *,
        memos: Mapping[MemoryLink, Memo] | None = None,
    ) -> Found:
        """Ask one link after the other.

        Args:
            links: The chain's own, or, in a policy, with another primary in front.
            subject: What is remembered is remembered about this: the primary of a policy.
            args: The call's arguments.
            kwargs: The call's arguments.
            errors: What the first links have raised already; the walk begins behind them.
            memos: What the call is remembered by, if the chain around this one has found that out.

        Raises:
            FallbackExhaustedError: No link had an answer.
            BaseException: What a link raised for which the chain does not go on.
        """
        if memos is None:
            memos = self._memos(links, subject, args, kwargs)
        found: Found | None
        try:
            for position in range(len(errors), len(links)):
                link = links[position]
                try:
                    found = await link._ask(args, kwargs, memos)
                except Exception as exc:
                    if not self._goes_on(position, exc, errors):
                        raise
                    errors = (*errors, (self._sources[position], exc))
                else:
                    return self._found(position, found, errors, memos, is_chain=isinstance(link, Chain))
            self._exhausted += 1
            raise _exhausted(self._name, errors)
        finally:
            errors, found = (), None

    def _found(
        self, position: int, found: Found, errors: Errors, memos: Mapping[MemoryLink, Memo], *, is_chain: bool
    ) -> Found:
        """Count an answer, have it remembered by the memories behind its link, and tell how it was come by."""
        self._answers[position] += 1
        if found.is_fresh:
            for link in self._memories:
                if link.position > position:
                    link.memory._remember(memos[link], found.value)
        source = self._sources[position]
        if is_chain:
            inner = ((f"{source}/{below}", exc) for below, exc in found.errors)
            source, errors = f"{source}/{found.source}", (*errors, *inner)
        elif not errors and source == found.source:
            return found
        return Found(found.value, source, found.is_fresh, found.age_seconds, errors)

    def _goes_on(self, position: int, exc: Exception, errors: Errors) -> bool:
        """Count a link's exception and return whether the next link is asked; if not, note the errors before it."""
        self._errors[position] += 1
        source = self._sources[position]
        if not self._leaves_behind(source, exc):
            _annotate(exc, self._name, errors)
            return False
        if position + 1 == len(self._sources):
            log(logging.ERROR, "Fallback %r has no link left after %r: %s", self._name, source, describe(exc))
        else:
            following = self._sources[position + 1]
            log(logging.WARNING, "Fallback %r moved on from %r to %r: %s", self._name, source, following, describe(exc))
        return True

    def _leaves_behind(self, source: str, exc: Exception) -> bool:
        try:
            return self._matches(exc)
        except Exception:  # noqa: BLE001 - whatever a predicate raises
            message = "The predicate `on` of fallback %r raised; the exception of %r goes to the caller"
            log(logging.ERROR, message, self._name, source, exc_info=True)
            return False

    def _matches(self, exc: Exception) -> bool:
        """Return whether the chain goes on after an exception; a group is judged by its leaves."""
        if isinstance(exc, self._types):
            return True
        if isinstance(exc, ExceptionGroup):
            return all(self._matches(leaf) for leaf in exc.exceptions)
        return self._predicate is not None and bool(self._predicate(exc))


def _condition(on: object) -> tuple[tuple[type[Exception], ...], Callable[[Exception], object] | None]:
    """Return the types and the predicate that `on` stands for.

    Raises:
        TypeError: It is neither.
    """
    types: tuple[Any, ...] = on if isinstance(on, tuple) else (on,)
    if all(isinstance(item, type) and issubclass(item, Exception) for item in types):
        return (*ALWAYS, *types), None
    if isinstance(on, type | tuple) or not callable(on) or is_kind(inspect.iscoroutinefunction, on):
        raise TypeError(
            "on must be a subclass of Exception, a tuple of them, or a synchronous predicate on the exception, "
            f"not {on!r}; what is no Exception, as a cancellation, is never fallen back from"
        )
    return ALWAYS, on


def _told_apart(names: list[str]) -> tuple[str, ...]:
    """Return the names with a number behind those that would come again."""
    seen: Counter[str] = Counter()
    told: list[str] = []
    for name in names:
        seen[name] += 1
        candidate = name if seen[name] == 1 else f"{name}-{seen[name]}"
        while candidate in told:
            seen[name] += 1
            candidate = f"{name}-{seen[name]}"
        told.append(candidate)
    return tuple(told)


def _annotate(exc: Exception, name: str, errors: Errors) -> None:
    """Note on an exception what the links before it raised, in place of what an earlier call noted on the same one."""
    start = f"Before, in fallback {name!r}, "
    with suppress(Exception):  # an exception may refuse to be changed
        kept = [note for note in getattr(exc, "__notes__", ()) if not note.startswith(start)]
        noted = [f"{start}{source!r} raised {describe(error)}" for source, error in errors]
        if kept or noted:
            exc.__notes__ = kept + noted


def _exhausted(name: str, errors: Errors) -> FallbackExhaustedError:
    told = "; ".join(f"{source!r}: {describe(exc)}" for source, exc in errors)
    return FallbackExhaustedError(
        f"Fallback {name!r} has no answer: {told}",
        tuple(exc for _, exc in errors),
        name,
        tuple(source for source, _ in errors),
    )
