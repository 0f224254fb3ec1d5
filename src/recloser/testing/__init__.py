"""A test kit: a clock that is moved by hand, and an explorer of the ways in which tasks can interleave."""

from recloser.testing._clock import ManualClock
from recloser.testing._errors import DeadlockError, ScheduleError, ScheduleFailedError, StepLimitError
from recloser.testing._explorer import Exploration, explore, replay
from recloser.testing._schedule import Schedule

__all__ = [
    "DeadlockError",
    "Exploration",
    "ManualClock",
    "Schedule",
    "ScheduleError",
    "ScheduleFailedError",
    "StepLimitError",
    "explore",
    "replay",
]
