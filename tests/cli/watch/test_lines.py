import io
import math
import re

from recloser.cli.watch.board import Board
from recloser.cli.watch.lines import Lines
from recloser.cli.watch.sentences import time_of_day
from tests.cli.watch.messages import entry, snapshot, transition, update

TIME = re.compile(r"^\d\d:\d\d:\d\d  ", re.MULTILINE)


class Told:
    def __init__(self, text: str = "") -> None:
        self.board = Board(lambda: 1_000.0)
        self._output = io.StringIO()
        self.view = Lines(self._output, self.board, text=text)

    def lines(self) -> list[str]:
        text = self._output.getvalue()
        self._output.seek(0)
        self._output.truncate()
        lines = text.splitlines()
        assert all(TIME.match(line) for line in lines)
        return [TIME.sub("", line) for line in lines]


def test_the_whole_state_is_summed_up_and_then_each_transition_is_a_line() -> None:
    told = Told()
    told.board.replace(snapshot({"a": entry("open"), "b": entry()}, transitions=[transition("a")]))
    with told.view:
        told.view.found()
        told.view.told(None)
        told.view.refresh()
    assert told.lines() == ["2 breakers: 1 open, 1 closed", "a: open for 2 s, trial call in 8 s: No reason."]
    told.view.told(told.board.update(update({"b": {"state": "open"}}, transitions=[transition("b"), transition("a")])))
    assert told.lines() == ["b: closed -> open: 5 failures", "a: closed -> open: 5 failures"]


def test_a_state_without_a_next_step_is_said_without_one() -> None:
    told = Told()
    told.board.replace(snapshot({"a": entry("disabled")}))
    told.view.told(None)
    assert told.lines()[1] == "a: disabled for 2 s, admits all calls until reset: No reason."


def test_a_lost_connection_is_a_line_and_so_are_missed_updates() -> None:
    told = Told()
    told.board.replace(snapshot({}, dropped=2))
    told.view.lost("gone\x1b")
    told.view.told(None)
    told.board.replace(snapshot({}, dropped=1))
    told.view.told(None)
    assert told.lines() == [
        "connection lost, trying again: gone\\x1b",
        "no breakers; 2 updates missed",
        "no breakers; 1 update missed",
    ]


def test_a_time_beyond_all_clocks_is_none() -> None:
    told = Told()
    told.board.replace(snapshot())
    told.view.told(told.board.update(update(transitions=[{**transition(), "at": "9999-12-31T23:59:59+00:00"}])))
    assert time_of_day(math.inf) == time_of_day(1e300) == "--:--:--"


def test_only_what_is_asked_for_is_told() -> None:
    told = Told("pay")
    told.board.replace(snapshot({"Payments": entry("open"), "b": entry("open")}))
    told.view.told(None)
    assert [line.split(":")[0] for line in told.lines()] == ["2 breakers", "Payments"]
    told.view.told(told.board.update(update(transitions=[transition("Payments"), transition("b")])))
    assert told.lines() == ["Payments: closed -> open: 5 failures"]
