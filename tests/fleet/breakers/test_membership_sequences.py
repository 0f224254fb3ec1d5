"""No sequence of calls, replies, losses, outages and interventions leaves a membership stuck.

One breaker shares its state with other workers through the engine of the store in memory. Random steps decide what is
sent, which reply or message arrives, and which is lost. Then everything becomes quiet, and the breaker must do once
more what a breaker in a fleet does: open with the fleet, run its probe and close.
"""

from collections import deque
from contextlib import suppress

import anyio
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from recloser import CircuitBreakerOpenError, Permit
from recloser.fleet._requests import StoreRequest
from recloser.fleet._states import MembershipState
from recloser.fleet._store.wire import Namespace, read_message
from recloser.fleet.store import Acquire, Action, Control, FleetPolicy, ProbeResult, Reply, Result, Vote
from recloser.fleet.store.memory import InMemoryServer
from tests.fleet.breakers.kit import NAME
from tests.fleet.breakers.member import Member, let_others_run
from tests.fleet.breakers.virtual_time import VirtualLoop

NAMESPACE = Namespace("default")
RECORD, _ = NAMESPACE.keys(NAME)
POLICY = FleetPolicy(open_us=10_000_000)
MOST_ROUNDS = 20
"""A quiet membership has no more requests after so many rounds of sending."""


class Play:
    """A breaker in a fleet, with the requests, replies and messages between it and the store."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self.member = Member()
        self.membership = self.member.membership
        self.worker = self.member.worker
        assert self.member.breaker is not None
        self.breaker = self.member.breaker
        self.server = InMemoryServer(clock=self.worker.clock)
        self.server.join(self)
        self.in_flight: deque[tuple[StoreRequest, Reply]] = deque()
        self.messages: deque[bytes] = deque()
        self.callers: deque[anyio.CancelScope] = deque()
        self.permits: deque[Permit] = deque()
        self.others_token = 0
        self._tasks = tasks

    # As a guest of the server

    def receive(self, _: str, data: bytes) -> None:
        self.messages.append(data)

    def disconnect(self) -> None:
        """Nothing is connected."""

    # Steps

    async def call(self) -> None:
        scope = anyio.CancelScope()

        async def acquire() -> None:
            with scope, suppress(CircuitBreakerOpenError):
                self.permits.append(await self.breaker.acquire())

        self.callers.append(scope)
        self._tasks.start_soon(acquire)

    async def call_and_give_up(self) -> None:
        await self.call()
        await let_others_run()
        await self.send()
        await self.give_up()

    async def give_up(self) -> None:
        if self.callers:
            self.callers.popleft().cancel()

    async def time_out(self) -> None:
        await anyio.sleep(self.worker.op_timeout_seconds)

    async def succeed(self) -> None:
        if self.permits:
            self.permits.popleft().succeed()

    async def fail(self) -> None:
        if self.permits:
            self.permits.popleft().fail()

    async def ignore(self) -> None:
        if self.permits:
            self.permits.popleft().ignore()

    async def send(self) -> None:
        if self.worker.is_reachable:
            self._send(self.membership.next_requests(self.worker.now()))

    async def poll(self) -> None:
        if self.worker.is_reachable:
            self._send(self.membership.poll(self.worker.now()))

    async def renew(self) -> None:
        if self.worker.is_reachable and self.worker.renewed:
            renewal = self.membership.renewal(self.worker.renewed[-1][1])
            self._send([] if renewal is None else [renewal])

    def _send(self, requests: list[StoreRequest]) -> None:
        for request in requests:
            self.in_flight.append((request, self.server.run(NAMESPACE, request.operation)))

    async def reply(self) -> None:
        if self.in_flight:
            request, reply = self.in_flight.popleft()
            request.done(reply)

    async def lose_connection(self) -> None:
        if self.worker.is_reachable:
            for request, _ in self.in_flight:
                request.failed()
            self.in_flight.clear()
            self.worker.is_reachable = False
            self.membership.degrade()

    async def recover(self) -> None:
        if not self.worker.is_reachable:
            self.worker.is_reachable = True
            reply = self.server.run(NAMESPACE, self.membership.sync_request().operation)
            self.membership.reconcile(reply, self.worker.now())

    async def close_alone(self) -> None:
        """Has the breaker run a probe of its own during an outage."""
        await self.lose_connection()
        await self.wait_long()
        await self.call()
        await let_others_run()
        await self.succeed()
        await self.recover()

    async def message(self) -> None:
        if self.messages and self.worker.is_reachable:
            self._apply_next_message()

    def _apply_next_message(self) -> None:
        message = read_message(self.messages.popleft())
        assert message is not None
        self.membership.apply(message.shared)

    async def lose_message(self) -> None:
        if self.messages:
            self.messages.popleft()

    async def others_open(self) -> None:
        generation = self.server.run(NAMESPACE, self.membership.sync_request().operation).shared.generation
        for worker in ("bob", "eve"):
            self.server.run(NAMESPACE, Vote(name=NAME, policy=POLICY, worker=worker, closed_generation=generation))

    async def become_ready(self) -> None:
        """Has the fleet open, and its reset timeout elapse."""
        await self.others_open()
        while self.messages:
            self._apply_next_message()
        await self.wait_long()

    async def other_acquires(self) -> None:
        reply = self.server.run(NAMESPACE, Acquire(name=NAME, policy=POLICY, worker="bob"))
        self.others_token = reply.shared.generation

    async def other_succeeds(self) -> None:
        self._other_ends(ProbeResult.SUCCEEDED)

    async def other_fails(self) -> None:
        self._other_ends(ProbeResult.FAILED)

    def _other_ends(self, result: ProbeResult) -> None:
        if self.others_token:
            self.server.run(NAMESPACE, Result(name=NAME, policy=POLICY, token=self.others_token, result=result))

    async def control(self) -> None:
        self.server.run(NAMESPACE, Control(name=NAME, action=Action.FORCE_OPEN, reason="maintenance"))

    async def reset_all(self) -> None:
        self.server.run(NAMESPACE, Control(name=NAME, action=Action.RESET, reason="repaired"))

    async def force(self) -> None:
        self.breaker.force_open("this host only")

    async def disable(self) -> None:
        self.breaker.disable()

    async def reset(self) -> None:
        self.breaker.reset()

    async def damage(self) -> None:
        self.server.keyspace.write(RECORD, {"v": "2"})

    async def repair(self) -> None:
        self.server.keyspace.delete(RECORD)
        self.worker.clock.advance(0.001)  # generations grow with the clock: a store without data relies on it

    async def flush(self) -> None:
        self.server.flush()
        self.worker.clock.advance(0.001)

    async def wait_a_little(self) -> None:
        self.worker.clock.advance(3)

    async def wait_long(self) -> None:
        self.worker.clock.advance(30)

    # The end

    async def become_quiet(self) -> None:
        """Ends all calls, repairs what was damaged, and delivers what is on its way."""
        await self.repair()
        await self.recover()
        while self.callers:
            await self.give_up()
        await let_others_run()
        while self.permits:
            await self.ignore()
        await self.deliver()
        assert not self.membership.is_asking
        assert not self.membership.holds

    async def follow_the_fleet(self) -> None:
        """Ends manual states, first of this breaker, then of the fleet."""
        if self.membership.authority is MembershipState.OVERRIDDEN:
            await self.reset()
        await self.deliver()
        assert (self.membership.authority, self.membership.lease.state) == ("following", "idle")
        await self.reset_all()
        await self.deliver()
        assert self.member.state == "closed"

    async def deliver(self) -> None:
        """Sends and delivers until nothing is left."""
        for _ in range(MOST_ROUNDS):
            await self.poll()
            await self.send()
            while self.in_flight:
                await self.reply()
            while self.messages:
                await self.message()
            await let_others_run()
            if not self.membership.has_requests:
                return
        pytest.fail("there is always something to send")

    async def make_a_probe(self) -> None:
        """Opens the fleet, and has the breaker run the probe."""
        await self.others_open()
        await self.deliver()
        assert self.member.state == "open"
        await self.wait_long()
        assert self.membership.leads
        await self.call()
        await let_others_run()
        assert self.membership.is_asking
        await self.deliver()
        assert self.membership.holds
        (permit,) = self.permits
        assert permit.is_probe
        await self.succeed()
        await self.deliver()
        assert not self.membership.holds
        assert (self.member.state, self.membership.shared.state) == ("closed", "closed")


LIKELY = [Play.call, Play.send, Play.reply, Play.message, Play.become_ready]
STEPS = [
    *(LIKELY * 5), Play.call_and_give_up, Play.give_up, Play.time_out, Play.succeed, Play.fail, Play.ignore, Play.poll,
    Play.renew, Play.lose_connection, Play.recover, Play.close_alone, Play.lose_message, Play.others_open,
    Play.other_acquires, Play.other_acquires, Play.other_succeeds, Play.other_fails, Play.control, Play.reset_all,
    Play.force, Play.disable, Play.reset, Play.damage, Play.repair, Play.flush, Play.wait_a_little, Play.wait_long,
]  # fmt: skip
STEP = st.sampled_from(STEPS)


@settings(max_examples=max(300, settings.default.max_examples), deadline=None)
@given(st.lists(STEP, max_size=10) | st.lists(STEP, min_size=30, max_size=60))
def test_no_sequence_of_steps_leaves_a_membership_stuck(steps: list[object]) -> None:
    async def play() -> None:
        async with anyio.create_task_group() as tasks:
            one = Play(tasks)
            await one.become_ready()
            for step in steps:
                await step(one)  # type: ignore[operator]
                await let_others_run()
                event(f"{one.membership.authority} {one.membership.lease.state}")
            await one.become_quiet()
            await one.follow_the_fleet()
            await one.make_a_probe()

    anyio.run(play, backend_options={"loop_factory": VirtualLoop})
