"""How a fallback chain runs: it tries one link after the other, until one has an answer.

* The chain moves on after an `Exception` that matches its condition (see `Condition`), never after a cancellation or
  another `BaseException`. Those pass through immediately; nothing is counted, logged or noted on them.
* Any other exception ends the chain and reaches the caller as the same object. The errors before it become its notes.
* Exceptions from `on=` or from the log never reach the caller.
* The exceptions of earlier links reference the frames of this package. These frames therefore drop their references at
  the end, so that no cycle is left for the garbage collector.
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
    """The links in their order, and the counts of each; a chain can be a link of another chain.

    Args:
        links: The links.
        on: After which exceptions the chain moves on, in addition to `ALWAYS`.
        name: The chain's name; by default that of the first link.

    Attributes:
        sources: The names of the links, in order; links with the same name are numbered.
        remembers: Whether there is a memory in this chain or in a chain inside it.
        wrapper: The decorated function that this chain belongs to, if any.
    """

    __slots__ = (
        "__weakref__",
        "_memories",
        "_predicate",
        "_types",
        "answer_counts",
        "error_counts",
        "exhausted_count",
        "links",
        "name",
        "remembers",
        "sources",
        "wrapper",
    )

    def __init__(self, links: Sequence[Link], on: Condition, name: str | None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        self._types, self._predicate = _condition(on)
        self.links: tuple[Link, ...] = tuple(links)
        self._memories = tuple(link for link in links if isinstance(link, MemoryLink))
        self.remembers: bool = bool(self._memories) or any(isinstance(link, Chain) and link.remembers for link in links)
        self.name: str = links[0].name if name is None else name
        self.sources: tuple[str, ...] = _numbered([link.name for link in links])
        self.answer_counts: list[int] = [0] * len(links)
        self.error_counts: list[int] = [0] * len(links)
        self.exhausted_count: int = 0
        self.wrapper: object = None

    def health(self) -> dict[str, Any]:
        """Return the counts of each link as a JSON-ready dictionary; safe from any thread.

        Cancelled calls are not counted.
        """
        counts = zip(self.sources, self.answer_counts, self.error_counts, strict=True)
        return {
            "links": {source: {"answers_total": a, "errors_total": e} for source, a, e in counts},
            "exhausted_total": self.exhausted_count,
        }

    async def ask(self, args: tuple[Any, ...], kwargs: dict[str, Any], memos: Mapping[MemoryLink, Memo], /) -> Found:
        """Answer as a link of another chain."""
        return await self.run(self.links, None, args, kwargs, memos=memos)

    def memos(
        self, links: tuple[Link, ...], subject: Hashable, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Mapping[MemoryLink, Memo]:
        """Return the memos of a call, including those for chains inside this one.

        Raises:
            MisuseError: A memory can't tell calls by these arguments apart.
        """
        memos = {link: link.memo(subject, args, kwargs) for link in self._memories}
        for link in links:
            if isinstance(link, Chain):
                memos.update(link.memos(link.links, None, args, kwargs))
        return memos

    async def run(
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
            links: The chain's own links; in a policy, with another primary in front.
            subject: What answers are remembered for: the primary of a policy.
            args: The call's arguments.
            kwargs: The call's arguments.
            errors: The errors of the first links if they have been asked already; the run starts after them.
            memos: The memos of the call, if the chain around this one has made them.

        Raises:
            FallbackExhaustedError: No link had an answer.
            BaseException: An exception of a link that the chain does not move on after.
        """
        if memos is None:
            memos = self.memos(links, subject, args, kwargs)
        found: Found | None
        try:
            for position in range(len(errors), len(links)):
                link = links[position]
                try:
                    found = await link.ask(args, kwargs, memos)
                except Exception as exc:
                    if not self.moves_on(position, exc, errors):
                        raise
                    errors = (*errors, (self.sources[position], exc))
                else:
                    return self._found(position, found, errors, memos, is_chain=isinstance(link, Chain))
            self.exhausted_count += 1
            raise _exhausted(self.name, errors)
        finally:
            errors, found = (), None

    def _found(
        self, position: int, found: Found, errors: Errors, memos: Mapping[MemoryLink, Memo], *, is_chain: bool
    ) -> Found:
        """Count an answer, store it in the memories after its link, and add where it came from."""
        self.answer_counts[position] += 1
        if found.is_fresh:
            for link in self._memories:
                if link.position > position:
                    link.memory.remember(memos[link], found.value)
        source = self.sources[position]
        if is_chain:
            inner = ((f"{source}/{below}", exc) for below, exc in found.errors)
            source, errors = f"{source}/{found.source}", (*errors, *inner)
        elif not errors and source == found.source:
            return found
        return Found(found.value, source, found.is_fresh, found.age_seconds, errors)

    def moves_on(self, position: int, exc: Exception, errors: Errors) -> bool:
        """Count a link's exception and return whether to ask the next link; if not, add the earlier errors as notes."""
        self.error_counts[position] += 1
        source = self.sources[position]
        if not self._matches_safely(source, exc):
            _annotate(exc, self.name, errors)
            return False
        if position + 1 == len(self.sources):
            log(logging.ERROR, "Fallback %r has no link left after %r: %s", self.name, source, describe(exc))
        else:
            following = self.sources[position + 1]
            log(logging.WARNING, "Fallback %r moved on from %r to %r: %s", self.name, source, following, describe(exc))
        return True

    def _matches_safely(self, source: str, exc: Exception) -> bool:
        try:
            return self._matches(exc)
        except Exception:  # noqa: BLE001 - a predicate can raise anything
            message = "The predicate `on` of fallback %r raised; the exception of %r goes to the caller"
            log(logging.ERROR, message, self.name, source, exc_info=True)
            return False

    def _matches(self, exc: Exception) -> bool:
        """Return whether the chain moves on after an exception; for a group, all leaves have to match."""
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
            f"not {on!r}; anything that is not an Exception, such as a cancellation, always ends the chain"
        )
    return ALWAYS, on


def _numbered(names: list[str]) -> tuple[str, ...]:
    """Return the names, with a number after each one that would otherwise be repeated."""
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
