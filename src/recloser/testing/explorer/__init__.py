"""A schedule explorer: it runs a scenario under many interleavings, and each failure can be replayed by its seed."""

from recloser.lowlevel import publish as _publish
from recloser.testing.explorer._errors import DeadlockError, ScheduleError, ScheduleFailedError, StepLimitError
from recloser.testing.explorer._explorer import Exploration, explore, replay
from recloser.testing.explorer._schedule import Schedule

__all__ = [
    "DeadlockError",
    "Exploration",
    "Schedule",
    "ScheduleError",
    "ScheduleFailedError",
    "StepLimitError",
    "explore",
    "replay",
]

_publish(globals())
