import anyio
import httpx
import pytest

from recloser.cli.watch import top
from recloser.cli.watch.board import Board, Transition
from tests.cli.watch.messages import entry, event, snapshot, transition, update
from tests.cli.watch.test_source import Server, stream

pytestmark = pytest.mark.anyio


class Recorder:
    """A view that takes down what it is told."""

    refresh_seconds = 0.5

    def __init__(self) -> None:
        self.said: list[object] = []
        self.refreshed = 0

    def __enter__(self) -> None: ...
    def __exit__(self, *exc_info: object) -> None: ...
    def found(self) -> None:
        self.said.append("found")

    def lost(self, problem: str) -> None:
        self.said.append(problem)

    def told(self, transitions: list[Transition] | None) -> None:
        self.said.append(transitions and [each.breaker for each in transitions])

    def refresh(self) -> None:
        self.refreshed += 1


async def test_what_comes_goes_onto_the_board_and_a_view_is_kept_fresh_while_nothing_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changed = update({"search": {"state": "open"}}, transitions=[transition("search")])
    server = Server(stream(event("snapshot", snapshot({"search": entry()})), event("update", changed), 30.25))
    monkeypatch.setattr(top, "client", lambda *_: server.client())
    board, view = Board(anyio.current_time), Recorder()
    with anyio.move_on_after(30.75):
        await top._follow(httpx.URL("http://shop.example/"), {}, 5.0, board, view)
    assert view.said == ["found", None, ["search"], "the server ended the stream"]
    assert 10 < view.refreshed <= 61  # the virtual clock may leap over some
    assert board.counts == {"open": 1}
