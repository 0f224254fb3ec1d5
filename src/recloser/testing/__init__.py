"""A test kit: a clock that the test moves, dependencies that fail as scripted, and a schedule explorer."""

from recloser.lowlevel import publish as _publish
from recloser.testing._clock import ManualClock
from recloser.testing._errors import DeadlockError, ScheduleError, ScheduleFailedError, StepLimitError
from recloser.testing._explorer import Exploration, explore, replay
from recloser.testing._fault_plan import FaultPlan, PlannedCall
from recloser.testing._outage import half_open_breaker, open_breaker
from recloser.testing._recorder import RecordingListener
from recloser.testing._schedule import Schedule
from recloser.testing._steps import Chance, During, Fail, Hang, Slow, Step, Succeed

__all__ = [
    "Chance",
    "DeadlockError",
    "During",
    "Exploration",
    "Fail",
    "FaultPlan",
    "Hang",
    "ManualClock",
    "PlannedCall",
    "RecordingListener",
    "Schedule",
    "ScheduleError",
    "ScheduleFailedError",
    "Slow",
    "Step",
    "StepLimitError",
    "Succeed",
    "explore",
    "half_open_breaker",
    "open_breaker",
    "replay",
]

_publish(globals())
