import io
import math
import re

from recloser.cli.client.board import Board
from recloser.cli.client.formatting import time_of_day
from recloser.cli.top.lines import Lines
from tests.cli.client.messages import CAUSE, NOON, entry, overview, snapshot, transition, update

TIME = re.compile(r"^\d\d:\d\d:\d\d  ", re.MULTILINE)


class Log:
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
        self.view.changed(self.board.replace(data), is_whole=True)

    def update(self, data: dict[str, object]) -> None:
        self.view.changed(self.board.update(data), is_whole=False)


def test_the_whole_state_is_summed_up_and_then_each_transition_is_a_line() -> None:
    log = Log()
    with log.view:
        log.replace(snapshot({"a": entry("open"), "b": entry()}, transitions=[transition("a")]))
        log.view.connected()
        log.view.refresh()
    assert log.lines() == ["2 breakers: 1 open, 1 closed", f"a: open for 2 s, probe in 8 s: {CAUSE}"]
    log.update(update({"b": {"state": "open"}}, transitions=[transition("b", seq=2), transition("a", seq=3)]))
    assert log.lines() == [f"b: closed -> open: {CAUSE}", f"a: closed -> open: {CAUSE}"]


def test_a_state_says_what_comes_next_and_what_is_special() -> None:
    log = Log()
    log.replace(snapshot({"a": entry("disabled"), "b": entry("open", shadow={"would_reject": 1, "failed": 1})}))
    shadow = "shadow: rejects nothing, would have rejected 1 (1 failed, 0 succeeded)"
    assert log.lines()[1:] == [
        f"a: disabled for 2 s, admits all calls until reset: {CAUSE}; 5 failures counted",
        f"b: open for 2 s, probe in 8 s, {shadow}: {CAUSE}",
    ]


def test_a_lost_connection_is_a_line_for_each_reason_and_so_is_its_return() -> None:
    log = Log()
    log.replace(snapshot())
    log.view.connected()
    log.lines()
    for problem in ("gone\x1b", "gone\x1b", "refused"):
        log.view.lost(problem, NOON)
    log.view.connected()
    log.view.connected()
    lost = f"connection lost, last message at {time_of_day(NOON)}, trying again:"
    assert log.lines() == [f"{lost} gone\\x1b", f"{lost} refused", "connected again"]


def test_what_has_happened_meanwhile_comes_before_the_summary() -> None:
    log = Log()
    log.replace(snapshot({"a": entry()}, transitions=[transition("a", seq=5)]))
    log.lines()
    log.replace(snapshot({"a": entry()}, transitions=[transition("a", seq=5), transition("b", seq=6)], dropped=2))
    assert log.lines() == ["2 updates missed", f"b: closed -> open: {CAUSE}", "1 breaker: 1 closed"]


def test_transitions_that_were_too_many_are_counted() -> None:
    log = Log()
    log.replace(snapshot())
    log.lines()
    log.update(update(transitions=[transition("a", seq=8), transition("b", seq=9)]))
    log.update(update(transitions=[transition("c", seq=11)]))
    said = f": closed -> open: {CAUSE}"
    assert log.lines() == ["7 transitions missed", f"a{said}", f"b{said}", "1 transition missed", f"c{said}"]


def test_another_run_of_the_server_begins_to_count_anew() -> None:
    log = Log()
    log.replace(snapshot(transitions=[transition(seq=900)], dropped=3))
    log.lines()
    log.replace(snapshot(transitions=[transition(seq=4)], dashboard={"version": 2, "run": "another"}))
    log.update(update(transitions=[transition("a", seq=5)]))
    assert log.lines() == ["no breakers", f"a: closed -> open: {CAUSE}"]


def test_a_time_beyond_all_clocks_is_none() -> None:
    log = Log()
    log.replace(snapshot())
    log.update(update(transitions=[{**transition(), "at": "9999-12-31T23:59:59+00:00"}]))
    assert time_of_day(math.inf) == time_of_day(1e300) == "--:--:--"


def test_only_what_is_asked_for_is_written() -> None:
    log = Log("pay")
    log.replace(snapshot({"Payments": entry("open"), "b": entry("open")}))
    assert [line.split(":")[0] for line in log.lines()] == ["2 breakers", "Payments"]
    log.update(update(transitions=[transition("Payments"), transition("b", seq=2)]))
    assert log.lines() == [f"Payments: closed -> open: {CAUSE}"]


def test_the_sum_begins_with_what_is_wrong_with_all_breakers() -> None:
    log = Log()
    log.replace(snapshot({"a": entry()}, overview=overview()))
    assert log.lines() == ["payments is open: no answer from db:5432 in time.", "1 breaker: 1 closed"]
