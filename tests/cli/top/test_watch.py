import anyio
import httpx
import pytest

from recloser.cli.client.board import Board
from recloser.cli.client.messages import TransitionEntry
from recloser.cli.top import watch
from tests.cli.client.messages import NOON, entry, event, snapshot, transition, update
from tests.cli.client.test_connection import Server, stream

pytestmark = pytest.mark.anyio


class Recorder:
    """A view that keeps what it is given."""

    refresh_seconds = 0.5

    def __init__(self) -> None:
        self.said: list[object] = []
        self.refreshed = 0

    def __enter__(self) -> None: ...
    def __exit__(self, *exc_info: object) -> None: ...
    def connected(self) -> None:
        self.said.append("connected")

    def lost(self, problem: str, last_message_at: float) -> None:
        self.said.append((problem, last_message_at))

    def changed(self, transitions: list[TransitionEntry], *, is_whole: bool) -> None:
        self.said.append((is_whole, [each.breaker for each in transitions]))

    def refresh(self) -> None:
        self.refreshed += 1


async def test_what_comes_goes_onto_the_board_and_a_view_is_kept_fresh_while_nothing_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changed = update({"search": {"state": "open"}}, transitions=[transition("search")])
    first = event("snapshot", snapshot({"search": entry()}))
    server = Server(stream(first, event("update", changed), 20.0, b"event: alive\ndata: {}\n\n", 10.25))
    monkeypatch.setattr(watch, "_SIGNALS", [])  # as where there are none
    monkeypatch.setattr(watch, "new_client", lambda *_: server.client())
    board, view = Board(anyio.current_time), Recorder()
    with anyio.move_on_after(30.75):
        await watch.show(httpx.URL("http://shop.example/"), {}, 5.0, board, view)
    lost = ("the server ended the stream", NOON + 21)
    assert view.said == [(True, []), "connected", (False, ["search"]), lost]
    assert 10 < view.refreshed <= 61  # the virtual clock may leap over some
    assert board.counts == {"open": 1}
