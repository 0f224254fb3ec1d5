import io
import math
import re

from recloser.cli.client.board import Board
from recloser.cli.client.sentences import time_of_day
from recloser.cli.top.lines import Lines
from tests.cli.client.messages import NOON, entry, snapshot, transition, update

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

    def replace(self, data: dict[str, object]) -> None:
        self.view.told(self.board.replace(data), anew=True)

    def update(self, data: dict[str, object]) -> None:
        self.view.told(self.board.update(data), anew=False)


def test_the_whole_state_is_summed_up_and_then_each_transition_is_a_line() -> None:
    told = Told()
    with told.view:
        told.replace(snapshot({"a": entry("open"), "b": entry()}, transitions=[transition("a")]))
        told.view.found()
        told.view.refresh()
    assert told.lines() == ["2 breakers: 1 open, 1 closed", "a: open for 2 s, probe in 8 s: No reason."]
    told.update(update({"b": {"state": "open"}}, transitions=[transition("b", seq=2), transition("a", seq=3)]))
    assert told.lines() == ["b: closed -> open: 5 failures", "a: closed -> open: 5 failures"]


def test_a_state_says_what_comes_next() -> None:
    told = Told()
    told.replace(snapshot({"a": entry("disabled")}))
    assert told.lines()[1] == "a: disabled for 2 s, admits all calls until reset: No reason."


def test_a_lost_connection_is_a_line_for_each_reason_and_so_is_its_return() -> None:
    told = Told()
    told.replace(snapshot())
    told.view.found()
    told.lines()
    for problem in ("gone\x1b", "gone\x1b", "refused"):
        told.view.lost(problem, NOON)
    told.view.found()
    told.view.found()
    lost = f"connection lost, last heard of at {time_of_day(NOON)}, trying again:"
    assert told.lines() == [f"{lost} gone\\x1b", f"{lost} refused", "connected again"]


def test_what_came_about_meanwhile_is_told_before_what_is() -> None:
    told = Told()
    told.replace(snapshot({"a": entry()}, transitions=[transition("a", seq=5)]))
    told.lines()
    told.replace(snapshot({"a": entry()}, transitions=[transition("a", seq=5), transition("b", seq=6)], dropped=2))
    assert told.lines() == ["2 updates missed", "b: closed -> open: 5 failures", "1 breaker: 1 closed"]


def test_transitions_that_were_too_many_are_counted() -> None:
    told = Told()
    told.replace(snapshot())
    told.lines()
    told.update(update(transitions=[transition("a", seq=8), transition("b", seq=9)]))
    told.update(update(transitions=[transition("c", seq=11)]))
    said = ": closed -> open: 5 failures"
    assert told.lines() == ["7 transitions missed", f"a{said}", f"b{said}", "1 transition missed", f"c{said}"]


def test_another_run_of_the_server_begins_to_count_anew() -> None:
    told = Told()
    told.replace(snapshot(transitions=[transition(seq=900)], dropped=3))
    told.lines()
    told.replace(snapshot(transitions=[transition(seq=4)], dashboard={"version": 1, "run": "another"}))
    told.update(update(transitions=[transition("a", seq=5)]))
    assert told.lines() == ["no breakers", "a: closed -> open: 5 failures"]


def test_a_time_beyond_all_clocks_is_none() -> None:
    told = Told()
    told.replace(snapshot())
    told.update(update(transitions=[{**transition(), "at": "9999-12-31T23:59:59+00:00"}]))
    assert time_of_day(math.inf) == time_of_day(1e300) == "--:--:--"


def test_only_what_is_asked_for_is_told() -> None:
    told = Told("pay")
    told.replace(snapshot({"Payments": entry("open"), "b": entry("open")}))
    assert [line.split(":")[0] for line in told.lines()] == ["2 breakers", "Payments"]
    told.update(update(transitions=[transition("Payments"), transition("b", seq=2)]))
    assert told.lines() == ["Payments: closed -> open: 5 failures"]
