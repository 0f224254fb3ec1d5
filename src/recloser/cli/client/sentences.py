"""What is said of breakers, in words; all that comes from the other process is made printable here."""

from datetime import datetime

from recloser.cli.client.board import Board
from recloser.cli.client.breaker import Breaker
from recloser.cli.client.formatting import duration, plural, printable, state_word
from recloser.cli.client.messages import TransitionEntry

__all__ = ["changed", "counted", "fleet", "lasted", "missed", "next_step", "time_of_day", "why"]


def counted(board: Board) -> str:
    """Say how many breakers are in which state."""
    counts = ", ".join(f"{count:,} {state_word(state)}" for state, count in board.counts.items())
    return f"{plural(len(board.breakers), 'breaker')}: {counts}" if counts else "no breakers"


def why(breaker: Breaker) -> str:
    """Say why a breaker is in its state."""
    return printable(breaker.why)


def lasted(breaker: Breaker, now: float) -> str:
    """Say how long a breaker has been in its state."""
    return f"for {duration(now - breaker.since)}"


def next_step(breaker: Breaker, now: float) -> str:
    """Say what happens next; nothing while a breaker is closed."""
    if breaker.state in _NEXT:
        return _NEXT[breaker.state]
    if breaker.probe_at is None:
        return "rejects all calls until reset"
    left = breaker.probe_at - now
    return f"probe in {duration(left + 0.999)}" if left > 0 else "the next call is a probe"


_NEXT = {"closed": "", "half_open": "a probe decides", "disabled": "admits all calls until reset"}


def changed(transition: TransitionEntry) -> str:
    """Say what a transition was."""
    states = f"{state_word(transition.old)} -> {state_word(transition.new)}"
    return f"{printable(transition.breaker)}: {states}: {printable(transition.cause)}"


def time_of_day(at: float) -> str:
    """Return a time in seconds since 1970 as a clock here shows it."""
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")
    except (OSError, OverflowError, ValueError):
        return "--:--:--"


def fleet(board: Board) -> str:
    """Say what is known of the fleet; nothing if there is none."""
    told = board.fleet
    if told is None:
        return ""
    problem = printable(told.problem or "each process decides alone")
    parts = ["fleet reachable" if told.connected else f"fleet unreachable: {problem}"]
    parts += [f"{printable(worker)} tries {printable(name)}" for name, worker in told.probes.items()]
    return "; ".join(parts)


def missed(board: Board) -> str:
    """Say what has not been told, because it was too much at once; nothing if all has."""
    parts = [(board.dropped, "update"), (board.untold, "transition")]
    said = " and ".join(plural(count, one) for count, one in parts if count)
    return f"{said} missed" if said else ""
