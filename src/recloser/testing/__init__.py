"""A test kit: a clock that the test moves, and dependencies that fail as scripted.

`recloser.testing.explorer` runs a test under thousands of schedules.
"""

from recloser.lowlevel import publish as _publish
from recloser.testing._clock import ManualClock
from recloser.testing._fault_plan import FaultPlan, PlannedCall
from recloser.testing._outage import half_open_breaker, open_breaker
from recloser.testing._recorder import RecordingListener
from recloser.testing._steps import Chance, During, Fail, Hang, Slow, Step, Succeed

__all__ = [
    "Chance",
    "During",
    "Fail",
    "FaultPlan",
    "Hang",
    "ManualClock",
    "PlannedCall",
    "RecordingListener",
    "Slow",
    "Step",
    "Succeed",
    "half_open_breaker",
    "open_breaker",
]

_publish(globals())
