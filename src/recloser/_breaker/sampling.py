"""Samples how long successes take, without a clock reading for each call of a closed breaker.

While the start of each call is not needed, `engine.live` is set to None when a sample is due. The next call then enters
by `engine.admit()` and `engine.start()`, which reads its start and sets `engine.live` again, and the end of a call with
a start is not only counted. So a sample is chosen by when it starts: of the calls that run at one time, the quick ones
end first. Of a new generation, the starts of all calls are read until the first few have succeeded, or eight times as
many have begun.

With the first call that is cut off and has no start, a breaker begins to read all starts, until its next transition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recloser._breaker.stalled import awaited

if TYPE_CHECKING:
    from recloser._breaker.cut_offs import CutOffs
    from recloser._core.settings import Settings
    from recloser._core.tickets import Epoch, Ticket


def is_sampling(engine: Any) -> bool:  # noqa: ANN401 - an Engine
    """Return whether the breaker has to know how long successes take: nobody has set how long calls may take."""
    settings: Settings = engine.machine.settings
    return settings.overdue_after_seconds is None


def take_sample(engine: Any, epoch: Epoch) -> bool:  # noqa: ANN401 - an Engine
    """Return whether the call that starts now is a sample."""
    if not epoch.is_start_due or not is_sampling(engine):
        return False
    epoch.first_starts -= 1
    if epoch.first_starts <= 0:  # most of these calls have not succeeded
        epoch.first_samples = 0
    if not epoch.first_samples:
        epoch.is_start_due = False
        _restore(engine, epoch)
    return True


def _restore(engine: Any, epoch: Epoch) -> None:  # noqa: ANN401 - an Engine
    """Have calls take the closed path again."""
    if engine.counting is epoch and engine.watch is None:
        engine.live = epoch  # as refresh() would do it, in a fraction of the time
    else:
        engine.refresh()


def sample_duration(engine: Any, epoch: Epoch, seconds: float) -> None:  # noqa: ANN401 - an Engine
    """Take a success that has been counted as the sample that is due."""
    if is_sampling(engine):
        epoch.schedule_sample(epoch.successes)
        engine.machine.learn(awaited(engine, seconds))
    else:
        epoch.skip_sample()


def sample(engine: Any, epoch: Epoch, started: float | None) -> None:  # noqa: ANN401 - an Engine
    """Take a success that has been counted as the sample that is due, or the next call if its start is not known."""
    if started is not None:
        sample_duration(engine, epoch, engine.now() - started)
        return
    epoch.skip_sample()
    if is_sampling(engine):
        epoch.is_start_due = True
        if engine.live is epoch:
            engine.live = engine.watch = None


def is_sample(engine: Any, ticket: Ticket) -> bool:  # noqa: ANN401 - an Engine
    """Return whether a success whose start is known, and that has not been counted yet, is a sample."""
    epoch: Epoch = engine.machine.epoch
    watch = engine.watch
    if not is_sampling(engine) or not engine.machine.is_current(ticket):
        return False
    if ticket is not epoch:
        return True
    if watch is not None and watch.times_starts:
        is_due = epoch.successes + 1 >= epoch.sample_at
        if is_due:
            epoch.schedule_sample(epoch.successes + 1)
        return is_due
    if epoch.first_samples:
        epoch.schedule_sample(epoch.successes + 1)
        if not epoch.first_samples:
            _restore(engine, epoch)
    return True


def is_timed(engine: Any, epoch: Epoch) -> bool:  # noqa: ANN401 - an Engine
    """Return whether calls have been cut off in a generation, so that the start of each call is read."""
    cut_offs: CutOffs | None = engine.cut_offs
    return cut_offs is not None and cut_offs.timed is epoch


def time_starts(engine: Any, ticket: Ticket, cut_offs: CutOffs) -> None:  # noqa: ANN401 - an Engine
    """Read the start of each call from now on, if the ticket is that of the current generation."""
    epoch: Epoch = engine.machine.epoch
    if ticket is epoch and cut_offs.timed is not epoch and is_sampling(engine):
        cut_offs.timed = epoch
        engine.refresh()
