"""The order of eviction, compared with a model that examines every breaker each time."""

import functools
from dataclasses import dataclass, field

import anyio
from hypothesis import given
from hypothesis import strategies as st

from recloser import BreakerRegistry, CircuitBreaker
from recloser.testing import ManualClock

CAPACITY = 3
THRESHOLD = 2
SUCCESSES = 2
RESET_SECONDS = 60.0
NAMES = list("abcdef")

OPERATIONS = (
    "get",
    "fail",
    "fail",
    "fail",
    "succeed",
    "probe",
    "force",
    "disable",
    "reset",
    "reset",
    "hold",
    "release",
    "release",
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(NAMES)),
        st.tuples(st.just("advance"), st.sampled_from([1.0, 30.0, 60.0])),
    ),
    min_size=50,
    max_size=100,
)


@dataclass
class Modelled:
    """The model of one breaker."""

    state: str = "closed"
    failures: int = 0
    passed: int = 0
    on_probe: bool = False
    reopen_at: float = 0.0


@dataclass
class Model:
    """A list of names in the order of last use; each eviction searches all of them."""

    now: float = 0.0
    kept: list[str] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    known: dict[str, Modelled] = field(default_factory=dict)

    def use(self, name: str) -> None:
        if name in self.kept:
            self.kept.remove(name)
        else:
            while len(self.kept) >= CAPACITY and (victim := self.victim()) is not None:
                self.kept.remove(victim)
                self.forget(victim)
        self.kept.append(name)
        self.known.setdefault(name, Modelled())

    def victim(self) -> str | None:
        ranks = {name: self.rank(self.known[name]) for name in self.kept}
        candidates = [name for name in self.kept if ranks[name] is not None]
        return min(candidates, key=ranks.__getitem__, default=None)

    def rank(self, breaker: Modelled) -> tuple[int, float] | None:
        if breaker.state == "closed":
            return (1 if breaker.failures else 0, 0.0)
        if breaker.state == "open":
            return (2, breaker.reopen_at)
        return (3, 0.0) if breaker.state == "half_open" and not breaker.on_probe else None

    def forget(self, name: str) -> None:
        if name not in self.kept and name not in self.held:
            del self.known[name]

    def call(self, breaker: Modelled, *, good: bool) -> None:
        if breaker.state == "disabled" or (breaker.state == "open" and self.now < breaker.reopen_at):
            return
        if breaker.state == "closed":
            breaker.failures = 0 if good else breaker.failures + 1
            if breaker.failures < THRESHOLD:
                return
        elif breaker.state not in {"open", "half_open"}:
            return
        breaker.on_probe = False
        if not good:
            breaker.state, breaker.passed, breaker.reopen_at = "open", 0, self.now + RESET_SECONDS
        elif breaker.passed + 1 < SUCCESSES:
            breaker.state, breaker.passed = "half_open", breaker.passed + 1
        else:
            breaker.state, breaker.failures, breaker.passed = "closed", 0, 0


class Pair:
    """A registry and its model."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.registry = BreakerRegistry(
            max_breakers=CAPACITY,
            clock=self.clock,
            failure_threshold=THRESHOLD,
            reset_timeout_seconds=RESET_SECONDS,
            success_threshold=SUCCESSES,
        )
        self.model = Model()
        self.held: dict[str, CircuitBreaker] = {}
        self.probes: dict[str, object] = {}

    async def step(self, operation: str, what: str | float) -> None:
        if operation == "advance":
            self.clock.advance(what)
            self.model.now += what
        else:
            self.model.use(what)
            breaker = self.registry.breaker(what)
            assert what not in self.held or self.held[what] is breaker
            await getattr(self, operation)(what, breaker)
            del breaker
        assert {breaker.name for breaker in self.registry} == {*self.model.kept, *self.model.held}
        assert len(self.registry) == len({*self.model.kept, *self.model.held})

    async def get(self, name: str, breaker: CircuitBreaker) -> None:
        assert self.registry.get(name) is breaker

    async def fail(self, name: str, breaker: CircuitBreaker) -> None:
        await self.end(name, breaker, good=False)

    async def succeed(self, name: str, breaker: CircuitBreaker) -> None:
        await self.end(name, breaker, good=True)

    async def end(self, name: str, breaker: CircuitBreaker, *, good: bool) -> None:
        modelled = self.model.known[name]
        is_late = name in self.probes and modelled.state != "half_open"
        permit = self.probes.pop(name, None) or await breaker.try_acquire()
        if permit is not None:
            permit.succeed() if good else permit.fail()
        if not is_late:
            self.model.call(modelled, good=good)

    async def probe(self, name: str, breaker: CircuitBreaker) -> None:
        """Starts a probe, which refers to the breaker until it ends."""
        modelled = self.model.known[name]
        may_begin = modelled.state == "half_open" or (modelled.state == "open" and self.model.now >= modelled.reopen_at)
        if may_begin and name not in self.probes:
            self.probes[name] = await breaker.try_acquire()
            await self.hold(name, breaker)
            modelled.state, modelled.on_probe = "half_open", True

    async def force(self, name: str, breaker: CircuitBreaker) -> None:
        breaker.force_open("maintenance")
        self.model.known[name] = Modelled("forced_open")

    async def disable(self, name: str, breaker: CircuitBreaker) -> None:
        breaker.disable()
        self.model.known[name] = Modelled("disabled")

    async def reset(self, name: str, breaker: CircuitBreaker) -> None:
        breaker.reset()
        self.model.known[name] = Modelled()

    async def hold(self, name: str, breaker: CircuitBreaker) -> None:
        self.held[name] = breaker
        self.model.held.add(name)

    async def release(self, name: str, breaker: CircuitBreaker) -> None:
        assert breaker.name == name
        if name not in self.probes:
            self.held.pop(name, None)
            self.model.held.discard(name)


async def compare(steps: list[tuple[str, str | float]]) -> None:
    pair = Pair()
    for operation, what in steps:
        await pair.step(operation, what)
    for permit in pair.probes.values():
        permit.ignore()


@given(STEPS)
def test_the_evicted_breaker_is_the_one_that_the_model_names(steps: list[tuple[str, str | float]]) -> None:
    anyio.run(functools.partial(compare, steps))
