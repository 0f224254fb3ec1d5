"""The Lua scripts and their Python reference, driven side by side through the same random history.

After every step the replies, the stored hashes, their ends and what was published are compared, and the promises of a
lease and its fence are checked. `RECLOSER_FLEET_EXAMPLES` sets the number of histories, for long runs.
"""

import dataclasses
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from redis import Redis

from recloser import CircuitState
from recloser.fleet._store.evidence import Damage
from recloser.fleet._store.keyspace import Keyspace
from recloser.fleet._store.record import Record
from recloser.fleet._store.reference import Script
from recloser.fleet._store.wire import Namespace, arguments, read_reply, write_message
from recloser.fleet.store import (
    Acquire,
    Action,
    AnyOperation,
    Code,
    Control,
    FleetPolicy,
    FleetRule,
    HitKind,
    ProbeResult,
    Renew,
    Reply,
    Report,
    Result,
    SharedState,
    Sync,
    Vote,
)
from tests.fleet.contract.worlds import START_US, TOLD, let_pass, scripts_on, set_clock

EXAMPLES = int(os.environ.get("RECLOSER_FLEET_EXAMPLES", "25"))
STEPS = 40
NAME = "pay|{ments}"
NAMESPACE = Namespace("default")
KEYS = NAMESPACE.keys(NAME)
WORKERS = ("ada", "bob", "eve")
SLACK_US = 2_000_000
"""Real time may have shortened the lifetime of a key by so much."""

SECOND = 1_000_000
POLICIES = [
    FleetPolicy(open_us=5 * SECOND, max_open_us=20 * SECOND, multiplier=2.0, lease_us=2 * SECOND, quorum=2),
    FleetPolicy(open_us=SECOND, max_open_us=SECOND, lease_us=SECOND, quorum=1, success_threshold=3),
    FleetPolicy(open_us=7 * SECOND, max_open_us=60 * SECOND, multiplier=1.7, lease_us=3 * SECOND, quorum=3),
]
RULES = [
    FleetRule(window_us=10 * SECOND, buckets=5, count=4),
    FleetRule(window_us=7 * SECOND, buckets=3, minimum_calls=10, rate=0.3),
    FleetRule(window_us=10 * SECOND, buckets=5, minimum_calls=5, rate=0.5, hit_kind=HitKind.SLOW_CALLS),
]
JUNK = st.sampled_from(
    ["", "x", "-1", "1e5", "nan", "9" * 30, "5 5", "5", "2", f"bob {START_US}", "a|b", "open", "%zz"]
)
FIELDS = st.sampled_from(["v", "state", "generation", "ends", "trips", "passed", "author", "reason"])
STEPS_US = st.sampled_from([0, 1, 1_000, 300_000, SECOND, 2 * SECOND, 5 * SECOND, 11 * SECOND, 61 * SECOND])
JUMPS_US = st.sampled_from([3_600 * SECOND, -3_600 * SECOND, -2 * SECOND, 2 * 86_400 * SECOND, -2 * 86_400 * SECOND])


class Side:
    """One breaker in Redis and in the reference."""

    def __init__(self, admin: Redis) -> None:
        self.admin = admin
        self.scripts = scripts_on(told=TOLD)
        admin.flushall()
        self.keyspace = Keyspace()
        self.told: list[SharedState] = []
        self.now = START_US
        set_clock(admin, self.now)

    def stored_generation(self) -> int:
        """Returns the generation of the stored record, 0 if there is none of this version."""
        self.keyspace.sweep(self.now)
        try:
            return Record.stored(self.keyspace.read(KEYS[0]), self.now).generation
        except (Damage, AttributeError):
            return 0

    def run(self, operation: AnyOperation) -> Reply:
        self.admin.delete(TOLD)
        self.told.clear()
        self.keyspace.sweep(self.now)
        script = self.scripts[type(operation)]
        raw = self.admin.eval(script.text, len(KEYS), *KEYS, *arguments(NAMESPACE.channel, operation))
        expected = Script(self.keyspace, KEYS, self.now, self.told.append).run(operation)
        assert read_reply(raw) == expected
        messages = [write_message(NAME, shared).encode() for shared in self.told]
        assert self.admin.lrange(TOLD, 0, -1) == messages
        self.compare()
        return expected

    def compare(self) -> None:
        self.keyspace.sweep(self.now)
        for key in KEYS:
            expected = self.keyspace.read(key)
            if isinstance(expected, str):
                assert self.admin.get(key) == expected.encode()
                continue
            stored = {field.decode(): value.decode() for field, value in self.admin.hgetall(key).items()}
            assert stored == expected
            left = self.admin.pttl(key)
            ends = self.keyspace.deadlines_us.get(key)
            if ends is None:
                assert left < 0
            else:
                assert ends - self.now - SLACK_US <= left * 1_000 <= ends - self.now + 1_000

    def move(self, microseconds: int) -> None:
        self.now += microseconds
        set_clock(self.admin, self.now)
        self.keyspace.sweep(self.now)
        let_pass(self.admin, [key.encode() for key in KEYS], microseconds // 1_000)
        for key in KEYS:  # where a millisecond decides, the reference does
            if not self.keyspace.read(key):
                self.admin.delete(key)

    def put(self, key: str, value: dict[str, str] | str) -> None:
        self.keyspace.delete(key)
        self.admin.delete(key)
        if isinstance(value, str):
            self.keyspace.hashes[key] = value
            self.admin.set(key, value)
        elif value:
            self.keyspace.hashes[key] = value
            self.admin.hset(key, mapping=value)


class History(RuleBasedStateMachine):
    """Three workers, one breaker, and any fault."""

    admin: Redis

    def __init__(self) -> None:
        super().__init__()
        self.side = Side(self.admin)
        self.elapsed = 0
        self.seen = [(SharedState(), 0)]
        self.backup: Keyspace | None = None
        self.forget_promises()
        self.has_lost = False

    def forget_promises(self) -> None:
        """After a loss of data, a step of the clock, or the return of lost data, the guarantees begin anew."""
        self.has_lost = True
        self.leases: dict[int, int] = {}
        self.settled: set[int] = set()
        self.highest = 0

    @initialize()
    def begin(self) -> None:
        self.sequence = 0

    def known(self, data: st.DataObject) -> SharedState:
        known, since = data.draw(st.sampled_from(self.seen[-6:]))
        return known.later(self.elapsed - since)

    def run(self, operation: AnyOperation) -> Reply:
        stored = self.side.stored_generation()
        if operation.known.generation > stored:  # nobody knows better than a server that has lost nothing
            if self.has_lost:
                self.forget_promises()
            else:
                assert stored == 0
        reply = self.side.run(operation)
        self.cut_leases(operation.policy)
        if reply.code not in {Code.DAMAGED, Code.IMPLAUSIBLE}:
            self.seen.append((reply.shared, self.elapsed))
            assert reply.shared.generation >= max(stored, operation.known.generation), "somebody knew better"
            told = [shared.generation for shared in self.side.told]
            assert told == sorted(set(told)), "not in order"
            assert all(generation > stored for generation in told), "not newer"
            self.highest = reply.shared.generation
        return reply

    def cut_leases(self, policy: FleetPolicy) -> None:
        """Each caller cuts a lease down to its own policy."""
        latest = self.side.now + policy.lease_us
        self.leases = {token: min(end, latest) for token, end in self.leases.items()}

    @rule(data=st.data(), policy=st.sampled_from(POLICIES))
    def sync(self, data: st.DataObject, policy: FleetPolicy) -> None:
        self.run(Sync(name=NAME, known=self.known(data), policy=policy))

    @rule(
        data=st.data(), policy=st.sampled_from(POLICIES), of=st.sampled_from(RULES), worker=st.sampled_from(WORKERS),
        calls=st.tuples(st.integers(0, 6), st.integers(0, 6)), again=st.booleans(), fresh=st.booleans(),
    )  # fmt: skip
    def report(  # noqa: PLR0917 - each is drawn by its name
        self,
        data: st.DataObject,
        policy: FleetPolicy,
        of: FleetRule,
        worker: str,
        calls: tuple[int, int],
        again: bool,  # noqa: FBT001 - drawn
        fresh: bool,  # noqa: FBT001 - drawn
    ) -> None:
        self.sequence += not again
        known = self.known(data)
        self.run(
            Report(
                name=NAME, known=known, policy=policy, worker=worker, rule=of, sequence=max(1, self.sequence),
                closed_generation=self.highest if fresh else known.generation, hits=min(calls), total=max(calls),
            )
        )  # fmt: skip

    @rule(data=st.data(), policy=st.sampled_from(POLICIES), worker=st.sampled_from(WORKERS), late=st.booleans())
    def vote(
        self,
        data: st.DataObject,
        policy: FleetPolicy,
        worker: str,
        late: bool,  # noqa: FBT001 - drawn
    ) -> None:
        known = self.known(data)
        limit = self.side.now - 1 if late else 0
        self.run(
            Vote(
                name=NAME, known=known, policy=policy, worker=worker, closed_generation=known.generation,
                not_after_us=limit,
            )
        )  # fmt: skip

    @rule(data=st.data(), policy=st.sampled_from(POLICIES), worker=st.sampled_from(["", "ada", "bob-_1"]))
    def acquire(self, data: st.DataObject, policy: FleetPolicy, worker: str) -> None:
        reply = self.run(Acquire(name=NAME, known=self.known(data), policy=policy, worker=worker))
        if reply.code is Code.DONE:
            token = reply.shared.generation
            assert all(end <= self.side.now for end in self.leases.values()), "two leases at once"
            assert token > max(self.leases, default=0)
            self.leases[token] = self.side.now + policy.lease_us

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), policy=st.sampled_from(POLICIES))
    def renew(self, data: st.DataObject, policy: FleetPolicy) -> None:
        token = data.draw(st.sampled_from(sorted(self.leases)))
        reply = self.run(Renew(name=NAME, known=self.known(data), policy=policy, token=token))
        if reply.code is Code.DONE:
            assert token == max(self.leases)
            self.leases[token] = self.side.now + policy.lease_us

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), policy=st.sampled_from(POLICIES), result=st.sampled_from(ProbeResult))
    def settle(self, data: st.DataObject, policy: FleetPolicy, result: ProbeResult) -> None:
        token = data.draw(st.sampled_from(sorted(self.leases)))
        reply = self.run(Result(name=NAME, known=self.known(data), policy=policy, token=token, result=result))
        if reply.code is Code.DONE:
            assert token == max(self.leases)
            assert token not in self.settled
            self.settled.add(token)
            self.leases[token] = 0

    @rule(
        action=st.sampled_from(Action), seconds=st.none() | st.integers(1, 20), text=st.sampled_from(["", "a|b\n", "é"])
    )
    def control(self, action: Action, seconds: int | None, text: str) -> None:
        end = None if seconds is None or action is Action.RESET else seconds * SECOND
        self.run(Control(name=NAME, action=action, for_us=end, author=text, reason=text[::-1]))
        self.leases = dict.fromkeys(self.leases, 0)

    @rule(microseconds=STEPS_US)
    def time_passes(self, microseconds: int) -> None:
        self.elapsed += microseconds
        self.side.move(microseconds)

    @rule(microseconds=JUMPS_US)
    def clock_steps(self, microseconds: int) -> None:
        self.side.move(microseconds)
        self.forget_promises()

    @rule(record=st.booleans(), evidence=st.booleans())
    def loss(self, record: bool, evidence: bool) -> None:  # noqa: FBT001 - drawn
        for key, lost in zip(KEYS, (record, evidence), strict=True):
            if lost:
                self.side.put(key, {})
        self.forget_promises()

    @rule()
    def script_flush(self) -> None:
        self.side.admin.script_flush()

    @rule(data=st.data())
    def corruption(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(KEYS))
        kept = self.side.keyspace.read(key)
        if isinstance(kept, str) or data.draw(st.integers(0, 9)) == 0:
            self.side.put(key, "another type")
        else:
            field = data.draw(FIELDS if key == KEYS[0] else st.sampled_from([*kept, "votes", "q:f10000000/5"]))
            self.side.put(key, {**kept, field: data.draw(JUNK)})
        self.forget_promises()

    @rule()
    def remember_copy(self) -> None:
        self.backup = self.side.keyspace.copy()

    @precondition(lambda self: self.backup is not None)
    @rule()
    def stale_copy(self) -> None:
        for key in KEYS:
            self.side.put(key, self.backup.copy().read(key))
        self.forget_promises()

    @rule(generation=st.sampled_from([1, START_US * 2, 2**53 - 2]), state=st.sampled_from(CircuitState))
    def liar(self, generation: int, state: CircuitState) -> None:
        left = 0 if state is CircuitState.CLOSED else 10**12
        known = SharedState(state, generation, left, trips=1_000, passed=5, reason="|")
        self.side.run(Sync(name=NAME, known=known, policy=POLICIES[0]))
        self.forget_promises()

    @rule(ahead=st.integers(1, 10 * SECOND))
    def survivor(self, ahead: int) -> None:
        """One worker remembers a newer state than all others: the server gets back data that was lost."""
        newest, since = self.seen[-1]
        known = dataclasses.replace(newest, generation=max(self.highest, self.side.now) + ahead)
        self.seen.append((known, since))
        self.forget_promises()


def test_the_scripts_do_what_the_reference_does(admin: Redis) -> None:
    machine = type("HistoryInRedis", (History,), {"admin": admin})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


BUGS = {
    "math.max(shared.generation, now) + 1": "now + 1",
    "if SEQUENCE <= last then": "if false then",
    "if NOT_AFTER > 0 and now > NOT_AFTER then": "if false then",
    "shared.generation ~= TOKEN": "false",
}


@pytest.mark.parametrize("right", BUGS)
def test_a_broken_script_would_be_noticed(admin: Redis, right: str) -> None:
    side = Side(admin)
    side.scripts = {
        kind: script._replace(text=script.text.replace(right, BUGS[right])) for kind, script in side.scripts.items()
    }
    known = SharedState(generation=START_US + 5)
    evidence = {"name": NAME, "known": known, "worker": "ada", "closed_generation": known.generation}
    history = [
        Report(**evidence, policy=POLICIES[0], rule=RULES[0], sequence=1, hits=1, total=1),
        Report(**evidence, policy=POLICIES[0], rule=RULES[0], sequence=1, hits=1, total=1),
        Vote(**evidence, policy=POLICIES[1], not_after_us=1),
        Vote(**evidence, policy=POLICIES[1]),
        SECOND,
        Acquire(name=NAME, policy=POLICIES[1]),
        Result(name=NAME, policy=POLICIES[1], token=5, result=ProbeResult.FAILED),
    ]
    with pytest.raises(AssertionError):
        play(side, history)


def play(side: Side, history: list[AnyOperation | int]) -> None:
    """Plays operations, and lets microseconds pass."""
    for step in history:
        if isinstance(step, int):
            side.move(step)
        else:
            side.run(step)
