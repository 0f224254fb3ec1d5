import errno
import io
import signal
from pathlib import Path

import anyio
import pytest
from rich.console import Console

from recloser.cli.demo import perform as module
from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.perform import conclude, perform
from tests.cli.demo.stage import OUTAGE, Rehearsal


def run(*, backend: str) -> int:
    return perform(OUTAGE, seed=1, port=0, backend=backend, plain=False, picture=None)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_good_run_ends_with_its_summary_and_zero(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(backend=backend) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert "breaker: closed -> open" in output.out
    assert "Outage:    " in output.out
    assert "Probes:    1, " in output.out
    assert "PROBLEM" not in output.out


@pytest.fixture
def undetected() -> Experiment:
    """An outage during which nobody called."""
    rehearsal = Rehearsal(OUTAGE)
    for phase in OUTAGE.phases:
        rehearsal.experiment.enter(phase)
        rehearsal.clock.advance(phase.seconds)
    return rehearsal.experiment


def test_what_a_breaker_did_not_do_is_told_and_is_a_failure(undetected: Experiment) -> None:
    output = io.StringIO()
    assert conclude(undetected, Console(file=output), None) == 1
    assert "PROBLEM: The breaker did not open while the upstream was down.\n" in output.getvalue()


def test_the_picture_is_written_where_it_is_wanted(undetected: Experiment, tmp_path: Path) -> None:
    output = io.StringIO()
    path = tmp_path / "timeline.svg"
    conclude(undetected, Console(file=output), path)
    assert path.stat().st_size > 10_000
    assert f"Timeline:  {path}\n" in output.getvalue()


def test_a_picture_that_cannot_be_written_is_an_error(undetected: Experiment, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        conclude(undetected, Console(quiet=True), tmp_path / "nowhere" / "timeline.svg")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_comes_out_of_all_task_groups_as_itself(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def press(*_: object, **__: object) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            signal.raise_signal(signal.SIGINT)
            await anyio.sleep_forever()

    monkeypatch.setattr(module, "play", press)
    with pytest.raises(KeyboardInterrupt):
        run(backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_reader_that_is_gone_ends_it(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise BrokenPipeError

    async def write(*_: object, **__: object) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            await anyio.sleep_forever()

    monkeypatch.setattr(module, "play", write)
    with pytest.raises(BrokenPipeError) as raised:
        run(backend=backend)
    assert raised.value.errno == errno.EPIPE
