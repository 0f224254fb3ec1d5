"""The script of the demo as values: the upstream's phases and the pace of the callers."""

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

__all__ = ["DEFAULT", "FAST", "Fault", "Phase", "Plan", "Reply"]


class Fault(Enum):
    """How the upstream fails without an HTTP status."""

    RESET = "reset"
    HANG = "hang"


Reply = HTTPStatus | Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A period in which the upstream behaves in one way.

    Attributes:
        name: The name that the views show.
        seconds: How long it lasts.
        replies: Each request gets one of these at random.
        latency_seconds: The mean time before a status is sent.
    """

    name: str
    seconds: float
    replies: tuple[Reply, ...] = (HTTPStatus.OK,)
    latency_seconds: float = 0.02

    @property
    def down(self) -> bool:
        """True when no request can succeed."""
        return HTTPStatus.OK not in self.replies


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole run.

    Attributes:
        phases: The upstream's script, played in order.
        callers: Concurrent callers in each of the two lanes.
        pause_seconds: The mean pause of a caller between two calls.
        timeout_seconds: The HTTP client's timeout.
        failure_threshold: The consecutive failures that open the breaker.
        reset_timeout_seconds: How long the breaker stays open before it probes.
        orders: The number of different orders.
        memory_ttl_seconds: The age at which a remembered order is no longer served; shorter than the outage, so that
            the default is used as well.
        bin_seconds: The width of the picture's bins.
    """

    phases: tuple[Phase, ...]
    callers: int = 50
    pause_seconds: float = 0.3
    timeout_seconds: float = 1.0
    failure_threshold: int = 5
    reset_timeout_seconds: float = 1.5
    orders: int = 20
    memory_ttl_seconds: float = 4.0
    bin_seconds: float = 0.25

    @property
    def seconds(self) -> float:
        """How long the script takes."""
        return sum(phase.seconds for phase in self.phases)


_FAILING = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE, Fault.RESET)

DEFAULT = Plan(
    phases=(
        Phase(name="healthy", seconds=4.0),
        Phase(name="failing", seconds=4.5, replies=_FAILING),
        Phase(name="hanging", seconds=5.0, replies=(Fault.HANG,)),
        Phase(name="recovering", seconds=2.0, latency_seconds=0.1),
        Phase(name="healthy", seconds=3.5),
    ),
)

FAST = Plan(
    phases=(
        Phase(name="healthy", seconds=0.7),
        Phase(name="failing", seconds=1.0, replies=_FAILING),
        Phase(name="hanging", seconds=1.0, replies=(Fault.HANG,)),
        Phase(name="recovering", seconds=0.5, latency_seconds=0.05),
        Phase(name="healthy", seconds=0.8),
    ),
    timeout_seconds=0.4,
    reset_timeout_seconds=0.3,
    memory_ttl_seconds=0.7,
    bin_seconds=0.1,
)
