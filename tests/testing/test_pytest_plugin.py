"""The pytest plugin, in runs of pytest of its own: the fixtures, the options, and that nothing is left behind."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

import recloser

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent.parent
PLUGIN = "recloser.testing.pytest_plugin"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> object:
    """Runs a file of tests with this plugin and that of anyio, and no others, in a process of its own."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(recloser.__file__).parent.parent))
    pytester.makeini("[pytest]\nanyio_mode = auto\nfilterwarnings = error\n")

    def run_tests(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_shop=source)
        return pytester.runpytest_subprocess("-p", PLUGIN, "-p", "anyio.pytest_plugin", *options)

    return run_tests


def test_the_package_announces_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"recloser": PLUGIN}
    assert importlib.import_module(PLUGIN).manual_clock


def test_the_fixtures_are_listed_with_what_they_do(run: object) -> None:
    listing = run("", "--fixtures", "-q").stdout.str()
    for name in ("manual_clock", "fault_plan", "recorded", "explore"):
        assert re.search(rf"^{name}\b.*\n    [A-Z]", listing, re.MULTILINE)


def test_clocks_plans_and_recordings_are_new_in_each_test(run: object) -> None:
    result = run(
        """
        import pytest
        from recloser import CircuitBreaker
        from recloser.testing import Fail, Slow, open_breaker

        SHARED = CircuitBreaker("shared", failure_threshold=1)
        SEEN = []

        @pytest.mark.parametrize("turn", [1, 2])
        async def test_everything(turn, manual_clock, fault_plan, recorded):
            assert manual_clock() == 0
            plan = fault_plan(Slow(30))
            await plan()
            assert (manual_clock(), plan.call_count) == (30, 1)
            events = recorded(SHARED, CircuitBreaker())
            assert events.events == []
            await SHARED.call(plan)
            assert len(events.events) == 1
            SEEN.append(events)
            assert [len(seen.events) for seen in SEEN] == [1] * len(SEEN)

        async def test_nobody_listens_any_more():
            await open_breaker(SHARED)
            assert [len(seen.events) for seen in SEEN] == [1] * len(SEEN)
            assert not SHARED.engine.dispatcher.entries
            SHARED.reset()
        """
    )
    result.assert_outcomes(passed=6)  # on asyncio and on trio


def test_a_plan_takes_another_clock_and_seed(run: object) -> None:
    result = run(
        """
        from recloser.testing import Chance, Fail, ManualClock, Slow, Succeed

        async def test_clock(manual_clock, fault_plan):
            mine = ManualClock()
            await fault_plan(then=Slow(30), clock=mine)()
            assert (mine(), manual_clock()) == (30, 0)

        async def test_seed(fault_plan):
            plans = [fault_plan(then=Chance(0.5, Succeed(1), Succeed(0)), seed=seed) for seed in (1, 1, 2)]
            ends = [[await plan() for _ in range(50)] for plan in plans]
            assert ends[0] == ends[1] != ends[2]
        """
    )
    result.assert_outcomes(passed=4)


EXPLORING = """
    import asyncio

    SEEDS = []

    async def lost_update(schedule):
        SEEDS.append(schedule.seed)
        total = 0

        async def add():
            nonlocal total
            before = total
            await schedule.pause()
            total = before + 1

        for _ in range(3):
            schedule.spawn(add)
        await schedule.join()
        assert total == 3

    async def fine(schedule):
        SEEDS.append(schedule.seed)

    def test_broken(explore):
        explore(lost_update)

    def test_fine(explore):
        print("explored", explore(fine).schedules, "from", SEEDS[-1])

    def test_few(explore):
        print("few", explore(fine, schedules=3, seed=40).schedules, "last", SEEDS[-1])

    async def test_async(explore):
        explore(fine)
"""


def test_the_explorer_plays_many_schedules_and_says_how_to_play_a_broken_one_again(run: object) -> None:
    result = run(EXPLORING, "-s", "-k", "not async")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*explored 1000 from 999*", "*few 3 last 42*"])
    again = re.search(r"play it again: pytest '(\S+)' --recloser-seed=(\d+)", result.stdout.str())
    assert again[1] == "test_shop.py::test_broken"
    result = run(EXPLORING, f"--recloser-seed={again[2]}", "-k", "broken")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*play it again with seed={again[2]}*"])


def test_the_explorer_plays_as_many_schedules_as_the_command_line_says(run: object) -> None:
    result = run(EXPLORING, "-s", "--recloser-schedules=7", "-k", "fine or few")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*explored 7 from 6*", "*few 3 last 42*"])


@pytest.mark.parametrize("count", ["0", "-5", "x"])
def test_a_command_line_that_would_explore_nothing_is_refused(run: object, count: str) -> None:
    result = run(EXPLORING, f"--recloser-schedules={count}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--recloser-schedules: must be an integer >= 1, not '{count}'*"])


def test_a_test_that_would_explore_nothing_fails(run: object) -> None:
    result = run(
        """
        async def broken(schedule):
            assert False

        def test_none(explore):
            explore(broken, schedules=0)
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ValueError: schedules must be an integer >= 1, not 0*"])


def test_the_explorer_plays_only_the_schedule_that_the_command_line_names(run: object) -> None:
    result = run(EXPLORING, "-s", "--recloser-seed=123", "-k", "fine or few")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*explored 1 from 123*", "*few 1 last 123*"])


def test_the_explorer_is_refused_while_an_event_loop_of_asyncio_runs(run: object) -> None:
    result = run(EXPLORING, "-k", "test_async and asyncio")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the schedule explorer runs event loops of its own: call it from synchronous code*"])


def test_the_tests_on_the_page_about_testing_pass(run: object) -> None:
    page = (ROOT / "docs" / "how-to" / "testing.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def test_" in block]
    tests = sum(len(re.findall(r"^(async )?def test_", block, re.MULTILINE)) for block in blocks)
    assert tests >= 4
    asynchronous = sum(len(re.findall(r"^async def test_", block, re.MULTILINE)) for block in blocks)
    run("\n\n".join(blocks)).assert_outcomes(passed=tests + asynchronous)  # the async ones on asyncio and on trio
