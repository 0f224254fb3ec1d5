"""The events of a breaker, the values that they contain, and the stream that `events()` returns.

::

    Event(breaker, at, monotonic)
     +- StateChanged(old, new, cause, snapshot)       a transition
     +- CallSucceeded, CallFailed, CallIgnored        the end of a call
     +- CallRejected(state, retry_after)              a call that was not started
     +- ProbeAdmitted                                 a call that tests the dependency
     +- LateOutcome(outcome)                          the end of a call after its generation
     +- ShadowOutcome(outcome)                        the end of a call that only shadow mode has let through
     +- EventsDropped(count)                          a slow reader of a stream lost events
"""

from recloser._breaker.dispatch import EventStream
from recloser._core.cause import Cause
from recloser._core.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Event,
    EventsDropped,
    LateOutcome,
    ProbeAdmitted,
    ShadowOutcome,
    Snapshot,
    StateChanged,
)
from recloser._core.homes import publish as _publish
from recloser._core.outage import ErrorCount, Outage
from recloser._core.outcomes import Outcome
from recloser._core.shadow import ShadowCalls
from recloser._core.states import Trigger

__all__ = [
    "CallFailed",
    "CallIgnored",
    "CallRejected",
    "CallSucceeded",
    "Cause",
    "ErrorCount",
    "Event",
    "EventStream",
    "EventsDropped",
    "LateOutcome",
    "Outage",
    "Outcome",
    "ProbeAdmitted",
    "ShadowCalls",
    "ShadowOutcome",
    "Snapshot",
    "StateChanged",
    "Trigger",
]

_publish(globals())
