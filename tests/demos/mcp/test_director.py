from collections import Counter
from pathlib import Path

import pytest

from demos.mcp import dependencies
from demos.mcp.director import DemoError
from demos.mcp.facts import Ask, Kind, Probe, Step
from tests.demos.mcp.stage import staged

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def ask(kind: Kind, begins: str, times: int = 1, *, tool: str = "call_external_api", **arguments: object) -> Ask:
    return Ask(tool, arguments or {"endpoint": "x"}, kind, begins, times)


OK = ask(Kind.ANSWER, '{"status": "success"')
FAILED = ask(Kind.ERROR, "API call failed: 503", 5)
SQL = "SELECT name FROM cities WHERE inhabitants > 700000"
QUERY = ask(Kind.ANSWER, '[{"name": "Oslo"}]', tool="query_database", sql=SQL)


async def test_a_step_tells_what_the_client_saw_what_arrived_and_what_health_said(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        report = await stage.director.play(Step((FAILED,), {"api": 5}, {"external_api": "open"}, ("api",)))
    assert [exchange.answers for exchange in report.exchanges] == [(("API call failed: 503 Service Unavailable", 5),)]
    assert report.reached == Counter(api=5)
    assert (report.before["external_api"].state, report.after["external_api"].state) == ("closed", "open")
    assert 0 < (report.after["external_api"].retry_after or 0) <= 60
    assert report.broken == ("api",)
    assert report.problems == ()


async def test_different_answers_in_a_row_are_told_apart(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        step = Step((ask(Kind.ERROR, "", 7),), breaks=("api",))
        report = await stage.director.play(step)
    assert [times for _, times in report.exchanges[0].answers] == [5, 2]


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (Step((ask(Kind.ANSWER, "sunny"),), {"api": 1}), 'call_external_api answered \'{"status":'),
        (Step((ask(Kind.ERROR, '{"status": "success"'),), {"api": 1}), 'call_external_api answered \'{"status":'),
        (Step((OK,)), "1 calls reached the dependency api, not 0."),
        (Step((OK,), {"api": 2}), "1 calls reached the dependency api, not 2."),
        (Step((OK,), {"api": 1}, {"users": "open"}), "Health reports users as closed, not open."),
    ],
    ids=["another answer", "no error", "too much", "too little", "another state"],
)
async def test_what_is_not_as_it_should_be_is_a_problem(tmp_path: Path, step: Step, problem: str) -> None:
    async with staged(tmp_path) as stage:
        report = await stage.director.play(step)
    assert len(report.problems) == 1
    assert report.problems[0].startswith(problem)


async def test_a_database_fails_and_is_repaired(tmp_path: Path) -> None:
    failed = ask(Kind.ERROR, "Query failed: file is not a database", tool="query_database", sql=SQL)
    async with staged(tmp_path) as stage:
        assert (await stage.director.play(Step((failed,), {"database": 1}, breaks=("database",)))).problems == ()
        stage.dependencies.repair()
        assert (await stage.director.play(Step((QUERY,), {"database": 1}))).problems == ()


async def test_probes_are_seen_on_their_way_and_as_they_arrive(tmp_path: Path) -> None:
    async with staged(tmp_path, reset_seconds=0.001) as stage:
        await stage.director.play(Step((FAILED,), breaks=("api",)))
        stage.dependencies.repair()
        rejected = ask(Kind.REJECTED, "External service currently unavailable.", 3)
        during, after = await stage.director.play_probe(Probe({"api": OK}, (rejected,)))
    assert during.problems == after.problems == ()
    assert [exchange.note for exchange in during.exchanges] == ["let through, and on its way", ""]
    assert during.reached is None
    assert during.after["external_api"].state == "half_open"
    assert after.reached == Counter(api=1)
    assert after.after["external_api"].state == "closed"


async def test_a_closed_breaker_makes_no_probe_which_is_a_problem(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        during, after = await stage.director.play_probe(Probe({"api": OK}, (OK,)))
    assert during.problems == ("Health reports external_api as closed, not half_open.",)
    assert after.problems == (
        "2 calls reached the dependency api, not 1.",
        "The breaker external_api let 0 probes through, not exactly one.",
    )


@pytest.mark.parametrize("dependency", ["users", "database"])
async def test_a_probe_that_never_arrives_ends_the_demo(
    tmp_path: Path, dependency: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependencies, "_ARRIVAL_SECONDS", 0.05)
    async with staged(tmp_path) as stage:
        with pytest.RaisesGroup(pytest.RaisesExc(DemoError, match=f"did not reach the dependency {dependency}")):
            await stage.director.play_probe(Probe({dependency: OK}, ()))
