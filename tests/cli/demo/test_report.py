import io
from collections import Counter

import pytest
from rich.console import Console

from recloser.cli.demo.lane import AnswerSource
from recloser.cli.demo.report import report
from recloser.cli.demo.summary import LaneSummary, Summary
from tests.cli.demo.stage import OUTAGE

PROTECTED = LaneSummary(
    calls=11,
    counts=Counter(
        {AnswerSource.SERVICE: 12, AnswerSource.MEMORY: 100, AnswerSource.DEFAULT: 200, AnswerSource.FAILURE: 13}
    ),
    counts_while_down=Counter(
        {AnswerSource.SERVICE: 1, AnswerSource.MEMORY: 90, AnswerSource.DEFAULT: 180, AnswerSource.FAILURE: 9}
    ),
    oldest_seconds=3.96,
    hits=15,
    hits_while_down=16,
    lost_seconds=1.7,
    latency_seconds=0.018,
)
BARE = LaneSummary(
    calls=21,
    counts=Counter({AnswerSource.SERVICE: 22, AnswerSource.FAILURE: 23}),
    counts_while_down=Counter({AnswerSource.FAILURE: 23}),
    oldest_seconds=None,
    hits=25,
    hits_while_down=26,
    lost_seconds=2.7,
    latency_seconds=None,
)


def text(summary: Summary) -> list[str]:
    output = io.StringIO()
    Console(file=output, width=100).print(report(summary, OUTAGE))
    return [" ".join(line.split()) for line in output.getvalue().splitlines()]


def test_the_table_has_every_figure_of_both_lanes() -> None:
    lines = text(Summary(PROTECTED, BARE, detect_seconds=0.123, recover_seconds=4.0, probes=(1, 2, None)))
    assert lines[0] == "10 callers with a breaker, 10 without"
    assert lines[4:15] == [
        "calls 11 21",
        "answered by the service 12 22",
        "answered from memory 100 0",
        "... the oldest of these answers 4.0 s -",
        "answered by default 200 0",
        "failed, as callers saw it 13 23",
        "rejected at once by the breaker 300 0",
        "requests that reached the upstream 15 25",
        "... while it was down 16 26",
        "time lost waiting for failures 1.7 s 2.7 s",
        "median time of an answer by the service 18 ms -",
    ]
    assert lines[16:] == [
        "Detected: 0.12 s from the start of the outage until the breaker opened",
        "Recovered: 4.00 s from the upstream's return until the breaker closed",
        "Outage: 1 fresh answers, 90 from memory, 180 by default, 9 errors",
        "Probes: 1, 2, unfinished (requests let through in each half-open episode)",
    ]


@pytest.mark.parametrize("line", ["Detected: never", "Recovered: never", "Probes: none"])
def test_what_did_not_happen_is_said(line: str) -> None:
    lines = text(Summary(PROTECTED, BARE, detect_seconds=None, recover_seconds=None, probes=()))
    assert any(found.startswith(line) for found in lines)
