"""How a fallback chain runs: it tries one link after the other, until one has an answer.

* The chain moves on after an `Exception` that matches its condition (see `Condition`), never after a cancellation or
  another `BaseException`. Those pass through immediately; nothing is counted, logged or noted on them.
* Any other exception ends the chain and reaches the caller as the same object. The errors before it become its notes.
* Exceptions from `on=` or from the log never reach the caller.
* The exceptions of earlier links reference the frames of this package. These frames therefore drop their references at
  the end, so that no cycle is left for the garbage collector.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypedDict

from recloser._breaker.error_text import describe
from recloser._breaker.log import LogLimit
from recloser._core.settings import refuse_breaker
from recloser._core.slots import checked, is_asynchronous
from recloser._fallback.answers import Found
from recloser._fallback.links import MemoryLink
from recloser.errors import FallbackExhaustedError, NoAnswer, RejectedError, rejection_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from recloser._fallback.answers import Link
    from recloser._fallback.memory import Memo

    On = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], object]
    Condition = tuple[tuple[type[Exception], ...], Callable[[Exception], object] | None]
    Errors = tuple[tuple[str, Exception], ...]

ALWAYS = (RejectedError, NoAnswer, FallbackExhaustedError)


class LinkHealth(TypedDict):
    """The counts of a function or a link.

    Attributes:
        answers_total: How many calls it answered.
        errors_total: How many calls it ended with an `Exception`.
    """

    answers_total: int
    errors_total: int


class FallbackHealth(TypedDict):
    """The counts of a fallback.

    Attributes:
        kind: `fallback`.
        name: The name in logs and errors.
        links: The counts of the function and of each link, by source, in order.
        exhausted_total: How many calls neither the function nor a link answered.
    """

    kind: str
    name: str
    links: dict[str, LinkHealth]
    exhausted_total: int


class LinkCounts:
    """What is counted for a chain: answers and errors per link, calls without an answer, and the lines of its log."""

    __slots__ = ("answers", "errors", "exhausted", "limit")

    def __init__(self, links: int) -> None:
        self.answers: list[int] = [0] * links
        self.errors: list[int] = [0] * links
        self.exhausted: int = 0
        self.limit: LogLimit = LogLimit()


class Chain:
    """The primary and the links behind it, in order; a chain can be a link of another chain.

    Args:
        links: The primary and the links.
        condition: After which exceptions the chain moves on.
        name: The name in logs and errors.

    Attributes:
        subject: What answers are remembered for, if the memories serve several primaries.
        counts: What is counted.
        memories: The memories among the links.
        sources: The names of the links, in order; links with the same name are numbered.
    """

    __slots__ = ("condition", "counts", "links", "memories", "name", "sources", "subject")

    is_chain = True

    def __init__(self, links: tuple[Link, ...], condition: Condition, name: str) -> None:
        self.links: tuple[Link, ...] = links
        self.condition: Condition = condition
        self.name: str = name
        self.subject: Hashable = None
        self.counts: LinkCounts = LinkCounts(len(links))
        self.sources: tuple[str, ...] = _numbered([link.name for link in links])
        self.memories: tuple[MemoryLink, ...] = tuple(link for link in links if isinstance(link, MemoryLink))

    @property
    def remembers(self) -> bool:
        """Whether there is a memory in this chain or in a chain inside it."""
        return bool(self.memories) or any(isinstance(link, Chain) and link.remembers for link in self.links)

    def around(self, primary: Link, name: str, subject: Hashable) -> Chain:
        """Return a chain of another primary and the same links, which shares the counts and the memories.

        Args:
            primary: The primary.
            name: The name in logs and errors.
            subject: What answers are remembered for: equal for the same primary.
        """
        chain = object.__new__(Chain)
        chain.links = (primary, *self.links[1:])
        chain.condition = self.condition
        chain.name = name
        chain.subject = subject
        chain.counts = self.counts
        sources = (primary.name, *self.sources[1:])
        chain.sources = sources if primary.name not in self.sources[1:] else _numbered(list(sources))
        chain.memories = self.memories
        return chain

    def health(self) -> FallbackHealth:
        """Return the counts of each link as a JSON-ready dictionary; safe from any thread.

        Cancelled calls are not counted.
        """
        counts = zip(self.sources, self.counts.answers, self.counts.errors, strict=True)
        return {
            "kind": "fallback",
            "name": self.name,
            "links": {source: {"answers_total": a, "errors_total": e} for source, a, e in counts},
            "exhausted_total": self.counts.exhausted,
        }

    async def ask(self, args: tuple[Any, ...], kwargs: dict[str, Any], memos: Mapping[MemoryLink, Memo], /) -> Found:
        """Answer as a link of another chain."""
        return await self.run(args, kwargs, memos=memos)

    def memos(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[MemoryLink, Memo]:
        """Return the memos of a call, including those for chains inside this one.

        Raises:
            MisuseError: A memory can't tell calls by these arguments apart.
        """
        memos = {link: link.memo(self.subject, args, kwargs) for link in self.memories}
        for link in self.links:
            if isinstance(link, Chain):
                memos.update(link.memos(args, kwargs))
        return memos

    async def run(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        errors: Errors = (),
        *,
        memos: Mapping[MemoryLink, Memo] | None = None,
    ) -> Found:
        """Ask one link after the other.

        Args:
            args: The call's arguments.
            kwargs: The call's arguments.
            errors: The errors of the first links if they have been asked already; the run starts after them.
            memos: The memos of the call, if the chain around this one has made them.

        Raises:
            FallbackExhaustedError: No link had an answer.
            BaseException: An exception of a link that the chain does not move on after.
        """
        memos = memos or self.memos(args, kwargs)
        found: Found | None
        try:
            for position in range(len(errors), len(self.links)):
                link = self.links[position]
                try:
                    found = await link.ask(args, kwargs, memos)
                except Exception as exc:
                    if not self.moves_on(position, exc, errors):
                        raise
                    errors = (*errors, (self.sources[position], exc))
                else:
                    return self._found(position, found, errors, memos)
            self.counts.exhausted += 1
            raise _exhausted(self.name, errors)
        finally:
            errors, found = (), None

    def _found(self, position: int, found: Found, errors: Errors, memos: Mapping[MemoryLink, Memo]) -> Found:
        """Count an answer, store it in the memories after its link, and add where it came from."""
        self.counts.answers[position] += 1
        if found.is_fresh:
            for link in self.memories:
                if link.position > position:
                    link.memory.remember(memos[link], found.value)
        source = self.sources[position]
        if self.links[position].is_chain:
            inner = ((f"{source}/{below}", exc) for below, exc in found.errors)
            source, errors = f"{source}/{found.source}", (*errors, *inner)
        elif not errors and source == found.source:
            return found
        return Found(found.value, source, found.is_fresh, found.age_seconds, errors)

    def moves_on(self, position: int, exc: Exception, errors: Errors) -> bool:
        """Count a link's exception and return whether to ask the next link; if not, add the earlier errors as notes."""
        self.counts.errors[position] += 1
        source = self.sources[position]
        if not self._matches_safely(source, exc):
            _annotate(exc, self.name, errors)
            return False
        if position + 1 == len(self.sources):
            message = "Fallback %r has no link left after %r: %s"
            self.counts.limit.log(logging.ERROR, message, self.name, source, exc=exc)
        else:
            message, following = "Fallback %r moved on from %r to %r: %s", self.sources[position + 1]
            self.counts.limit.log(logging.WARNING, message, self.name, source, following, exc=exc)
        return True

    def _matches_safely(self, source: str, exc: Exception) -> bool:
        try:
            return self._matches(exc)
        except Exception as fault:  # noqa: BLE001 - a predicate can raise anything
            message = "The predicate `on` of fallback %r raised; the exception of %r goes to the caller"
            self.counts.limit.log(logging.ERROR, message, self.name, source, fault=fault)
            return False

    def _matches(self, exc: Exception) -> bool:
        """Return whether the chain moves on after an exception; for a group, all leaves have to match."""
        types, predicate = self.condition
        if isinstance(exc, types):
            return True
        if isinstance(exc, ExceptionGroup):
            return all(self._matches(leaf) for leaf in exc.exceptions)
        if rejection_of(exc) is not None:
            return True
        return predicate is not None and bool(checked("on", predicate(exc)))


def condition_of(on: object) -> Condition:
    """Return the types and the predicate that `on` stands for.

    Raises:
        TypeError: It is neither.
    """
    types: tuple[Any, ...] = on if isinstance(on, tuple) else (on,)
    if all(isinstance(item, type) and issubclass(item, Exception) for item in types):
        return (*ALWAYS, *types), None
    refuse_breaker("on", on)
    if isinstance(on, type | tuple) or not callable(on) or is_asynchronous(on):
        raise TypeError(
            "on must be a subclass of Exception, a tuple of them, or a synchronous predicate on the exception, "
            f"not {on!r}; anything that is not an Exception, such as a cancellation, always ends the chain"
        )
    return ALWAYS, on


def _numbered(names: list[str]) -> tuple[str, ...]:
    """Return the names, with a number after each one that would otherwise be repeated."""
    if len(set(names)) == len(names):
        return tuple(names)
    seen: Counter[str] = Counter()
    unique: list[str] = []
    for name in names:
        seen[name] += 1
        candidate = name if seen[name] == 1 else f"{name}-{seen[name]}"
        while candidate in unique:
            seen[name] += 1
            candidate = f"{name}-{seen[name]}"
        unique.append(candidate)
    return tuple(unique)


def _annotate(exc: Exception, name: str, errors: Errors) -> None:
    """Add the errors of the links before it to an exception, in place of the notes of an earlier call."""
    start = f"Before, in fallback {name!r}, "
    with suppress(Exception):  # an exception may refuse to be changed
        kept = [note for note in getattr(exc, "__notes__", ()) if not note.startswith(start)]
        added = [f"{start}{source!r} raised {describe(error)}" for source, error in errors]
        if kept or added:
            exc.__notes__ = kept + added


def _exhausted(name: str, errors: Errors) -> FallbackExhaustedError:
    descriptions = "; ".join(f"{source!r}: {describe(exc)}" for source, exc in errors)
    return FallbackExhaustedError(
        f"Fallback {name!r} has no answer: {descriptions}",
        tuple(exc for _, exc in errors),
        name,
        tuple(source for source, _ in errors),
    )
