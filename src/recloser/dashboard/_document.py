"""The whole state as a JSON document, in pieces: each step encodes a few breakers only."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from recloser.dashboard._http import to_json
from recloser.dashboard._sample import BreakerEntry

BREAKERS_PER_PIECE = 100


def pieces(
    timestamp: str, entries: Iterable[tuple[str, BreakerEntry]], rest: Callable[[], Mapping[str, Any]]
) -> Iterator[str]:
    """Iterate over the text of a document: the time, the breakers, and the other members.

    Args:
        timestamp: The time of the document.
        entries: The entries of the breakers, by name; taken piece by piece.
        rest: Returns the other members, at least one, after all breakers have been taken.
    """
    yield f'{{"timestamp":{to_json(timestamp)},"breakers":{{'
    iterator = iter(entries)
    comma = ""
    while batch := dict(islice(iterator, BREAKERS_PER_PIECE)):
        yield comma + to_json(batch)[1:-1]
        comma = ","
    yield f"}},{to_json(rest())[1:]}"
