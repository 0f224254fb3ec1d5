"""The whole state as a JSON document, in pieces: no step encodes more than some breakers."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from recloser.dashboard._http import to_json
from recloser.dashboard._sample import BreakerEntry

BREAKERS_PER_PIECE = 100


def pieces(timestamp: str, entries: Iterable[tuple[str, BreakerEntry]], rest: Mapping[str, Any]) -> Iterator[str]:
    """Iterate over the text of a document: the time, the breakers, and whatever else it says.

    Args:
        timestamp: When it is made.
        entries: What is told of each breaker, by name; asked for piece by piece.
        rest: The other members, one at least.
    """
    yield f'{{"timestamp":{to_json(timestamp)},"breakers":{{'
    iterator = iter(entries)
    comma = ""
    while batch := dict(islice(iterator, BREAKERS_PER_PIECE)):
        yield comma + to_json(batch)[1:-1]
        comma = ","
    yield f"}},{to_json(rest)[1:]}"
