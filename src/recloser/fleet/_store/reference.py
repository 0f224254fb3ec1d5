"""The Lua scripts in Python: the engine of the store in memory, and the model that the scripts are compared with.

It works on hashes of strings as Redis keeps them, so that a test can compare both field by field after every step. The
rules are on the page of `fleet/store/__init__.py`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from recloser._core.states import CircuitState
from recloser.fleet._store.evidence import Damage, Window, joined, latest, with_worker
from recloser.fleet._store.keyspace import milliseconds_up
from recloser.fleet._store.operations import Acquire, Control, EvidenceOperation, Renew, Report, Result, Timely, Vote
from recloser.fleet._store.record import DAY_US, LINGER_MS, OtherVersion, Record, longest
from recloser.fleet._store.values import (
    MOST_CALLS,
    MOST_TRIPS,
    Code,
    ProbeResult,
    Reply,
    SharedState,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser.fleet._store.keyspace import Keyspace
    from recloser.fleet._store.operations import AnyOperation

SHORTEST_VOTE_US: Final = 1_000_000
"""Shortest time that a vote counts. With a very short reset timeout, a quorum could never form."""

OTHER_TYPE: Final = "the record was of another type than a hash; dropped"
OTHER_VERSION: Final = "the record is of another protocol version; left alone"
IMPOSSIBLE_RECORD: Final = "the record held impossible values; dropped"
IMPOSSIBLE_EVIDENCE: Final = "the evidence held impossible values; dropped"


class Script:
    """One operation on one breaker, from reading the record to the reply.

    Args:
        keyspace: The engine's data.
        keys: The keys of the record and of the evidence.
        now: The server's clock, in microseconds since the epoch.
        publish: Called with the state after each transition.
    """

    def __init__(
        self, keyspace: Keyspace, keys: tuple[str, str], now: int, publish: Callable[[SharedState], None]
    ) -> None:
        self._keyspace = keyspace
        self._record_key, self._evidence_key = keys
        self._now = now
        self._publish = publish
        self._record = Record()
        self._is_stored = False
        self._is_unsaved = False

    def run(self, operation: AnyOperation) -> Reply:
        """Carry out an operation; return its reply."""
        known = Record.known(operation.known, operation.policy, self._now)
        problem = self._read(operation)
        if problem is not None:
            self._record = known
            return self._reply(Code.DAMAGED, problem)
        if known.generation > self._now + DAY_US:
            return self._reply(Code.IMPLAUSIBLE)
        self._adopt(known)
        if self._record.state is CircuitState.DISABLED and self._left == 0:
            self._transition(CircuitState.CLOSED)
        if isinstance(operation, Timely) and 0 < operation.not_after_us < self._now:
            return self._reply(Code.TOO_LATE)
        try:
            return self._reply(self._act(operation))
        except Damage:
            self._keyspace.delete(self._evidence_key)
            return self._reply(Code.DAMAGED, IMPOSSIBLE_EVIDENCE)

    def _read(self, operation: AnyOperation) -> str | None:
        """Read the record, cut its time down to the policy; return what is wrong with it, if anything is."""
        fields = self._keyspace.read(self._record_key)
        if isinstance(fields, str):
            self._keyspace.delete(self._record_key)
            return OTHER_TYPE
        if not fields.keys() & Record().fields().keys():
            return None
        try:
            self._record = Record.stored(fields, self._now)
        except OtherVersion:
            return OTHER_VERSION
        except Damage:
            self._keyspace.delete(self._record_key)
            return IMPOSSIBLE_RECORD
        self._is_stored = True
        most = longest(self._record.state, operation.policy)
        if (self._left or 0) > most:
            self._record = replace(self._record, ends_us=self._now + most)
            self._save()
        return None

    def _adopt(self, known: Record) -> None:
        """Adopt what the caller knows, if it is newer; save it, unless it has ended and replaces nothing."""
        if known.generation <= self._record.generation:
            return
        self._record = known
        self._is_unsaved = self._left == 0 and not (self._is_stored and known.state is CircuitState.CLOSED)
        if not self._is_unsaved:
            self._save()
            self._publish(known.shared(self._now))

    def _act(self, operation: AnyOperation) -> Code:
        if isinstance(operation, EvidenceOperation):
            return self._weigh(operation)
        if isinstance(operation, Acquire):
            return self._acquire(operation)
        if isinstance(operation, Renew):
            return self._renew(operation)
        if isinstance(operation, Result):
            return self._settle(operation)
        if isinstance(operation, Control):
            self._control(operation)
        return Code.DONE

    def _weigh(self, evidence: Report | Vote) -> Code:
        if (self._record.state, self._record.generation) != (CircuitState.CLOSED, evidence.closed_generation):
            return Code.REFUSED
        fields = self._keyspace.read(self._evidence_key)
        if isinstance(fields, str):
            raise Damage
        return self._report(evidence, fields) if isinstance(evidence, Report) else self._vote(evidence, fields)

    def _report(self, report: Report, fields: dict[str, str]) -> Code:
        window = Window(report, fields, self._now)
        if window.is_duplicate:
            return Code.DUPLICATE
        failing = window.failing(report.policy.quorum)
        if window.is_rule_met and len(failing) >= report.policy.quorum:
            self._open(report)
            return Code.DONE
        if window.is_new_bucket:
            self._keyspace.hashes[self._evidence_key] = window.pruned()
        self._save_evidence(window.added(failing), report.rule.window_us)
        return Code.DONE

    def _vote(self, vote: Vote, fields: dict[str, str]) -> Code:
        span = max(vote.policy.open_us, SHORTEST_VOTE_US)
        voters = with_worker(latest(fields.get("votes", ""), self._now, span), vote.worker, self._now)
        if len(voters) >= vote.policy.quorum:
            self._open(vote)
        else:
            self._save_evidence({"votes": joined(voters)}, span)
        return Code.DONE

    def _acquire(self, acquire: Acquire) -> Code:
        waiting = {CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.FORCED_OPEN}
        if self._record.state not in waiting or self._left != 0:
            return Code.REFUSED
        lease_ends = self._now + acquire.policy.lease_us
        trips, passed = self._record.trips, self._record.passed
        self._transition(CircuitState.HALF_OPEN, lease_ends, trips, passed, author=acquire.worker)
        return Code.DONE

    def _renew(self, renew: Renew) -> Code:
        if not self._holds(renew.token):
            return Code.REFUSED
        self._record = replace(self._record, ends_us=self._now + renew.policy.lease_us)
        self._save()
        return Code.DONE

    def _settle(self, result: Result) -> Code:
        if not self._holds(result.token):
            return Code.REFUSED
        trips, passed = self._record.trips, self._record.passed
        if result.result is ProbeResult.FAILED:
            self._transition(CircuitState.OPEN, self._now + _open_us(result, trips), trips + 1)
        elif result.result is ProbeResult.RELEASED:
            self._transition(CircuitState.OPEN, self._now, trips, passed)
        elif passed + 1 < result.policy.success_threshold:
            self._transition(CircuitState.HALF_OPEN, self._now, trips, passed + 1)
        else:
            self._keyspace.delete(self._evidence_key)
            self._transition(CircuitState.CLOSED)
        return Code.DONE

    def _control(self, control: Control) -> None:
        self._keyspace.delete(self._evidence_key)
        ends = 0 if control.for_us is None else self._now + control.for_us
        author, reason = quote(control.author, safe=""), quote(control.reason, safe="")
        self._transition(CircuitState(control.action.value), ends, author=author, reason=reason)

    def _open(self, evidence: Report | Vote) -> None:
        self._keyspace.delete(self._evidence_key)
        self._transition(CircuitState.OPEN, self._now + evidence.policy.open_us, 1)

    def _holds(self, token: int) -> bool:
        """Whether a probe runs under this token. A lease that has ended and is not stored may have had its result."""
        return not self._is_unsaved and (self._record.state, self._record.generation) == (CircuitState.HALF_OPEN, token)

    @property
    def _left(self) -> int | None:
        return self._record.remaining_us(self._now)

    def _transition(
        self,
        state: CircuitState,
        ends_us: int = 0,
        trips: int = 0,
        passed: int = 0,
        *,
        author: str = "",
        reason: str = "",
    ) -> None:
        """Enter a state, always in a new generation, and publish it."""
        generation = max(self._record.generation, self._now) + 1
        trips, passed = min(trips, MOST_TRIPS), min(passed, MOST_CALLS)
        self._record = Record(state, generation, ends_us, trips, passed, author, reason)
        self._save()
        self._publish(self._record.shared(self._now))

    def _save(self) -> None:
        self._keyspace.write(self._record_key, self._record.fields())
        left = self._left
        lifetime_us = None if left is None else (milliseconds_up(left) + LINGER_MS) * 1_000
        self._keyspace.expire_at(self._record_key, None if lifetime_us is None else self._now + lifetime_us)

    def _save_evidence(self, fields: dict[str, str], span: int) -> None:
        self._keyspace.write(self._evidence_key, fields)
        deadline = self._now + milliseconds_up(2 * span) * 1_000
        earlier = self._keyspace.deadlines_us.get(self._evidence_key, 0)
        self._keyspace.expire_at(self._evidence_key, max(deadline, earlier))

    def _reply(self, code: Code, problem: str | None = None) -> Reply:
        return Reply(code, self._record.shared(self._now), self._now, problem)


def _open_us(result: Result, trips: int) -> int:
    policy = result.policy
    try:
        length = policy.open_us * policy.multiplier**trips
    except OverflowError:
        length = math.inf
    return math.floor(min(policy.max_open_us, length))
