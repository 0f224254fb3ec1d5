"""Where the contract of a store is tested: in memory and in Redis, with a clock that the test moves."""

from typing import Protocol

import redis

from recloser.fleet._store.scripts import LuaScript, lua_scripts
from recloser.fleet._store.wire import Namespace
from recloser.fleet.store import FleetStore
from recloser.fleet.store.memory import InMemoryServer, InMemoryStore
from recloser.testing import ManualClock
from tests.fleet.adjustable import AdjustableStore

PATIENT_SECONDS = 20.0
START_US = 1_800_000_000_000_000
CLOCK = "test:clock"
TOLD = "test:told"


def scripts_on(clock: str = CLOCK, told: str | None = None) -> dict[type, LuaScript]:
    """Returns scripts that read the clock from a key, and push messages to a list if one is given."""
    scripts = {}
    for kind, script in lua_scripts().items():
        text = replaced(script.text, "redis.call('TIME')", f"redis.call('HMGET', '{clock}', 'seconds', 'us')")
        if told is not None:
            text = replaced(text, "redis.call('PUBLISH', CHANNEL,", f"redis.call('RPUSH', '{told}',")
        scripts[kind] = LuaScript.of(text)
    return scripts


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def set_clock(admin: redis.Redis, now_us: int) -> None:
    admin.hset(CLOCK, mapping={"seconds": now_us // 1_000_000, "us": now_us % 1_000_000})


def let_pass(admin: redis.Redis, keys: list[bytes], milliseconds: int) -> None:
    """Lets keys expire as the clock moves, as they do when a server's clock is set."""
    for key in keys:
        left = admin.pttl(key)
        if left >= 0 and left <= milliseconds:
            admin.delete(key)
        elif left >= 0:
            admin.pexpire(key, left - milliseconds)


class World(Protocol):
    """A server with its stores."""

    def store(self) -> FleetStore: ...

    def advance(self, seconds: float) -> None:
        """Moves the server's clock, back with a negative number."""

    def flush(self) -> None: ...

    def evict(self, name: str, *, record: bool = False, evidence: bool = False) -> None: ...

    def forget_scripts(self) -> None: ...

    def backup(self) -> object: ...

    def restore(self, data: object) -> None: ...

    def put(self, name: str, fields: dict[str, str] | str, *, evidence: bool = False) -> None:
        """Stores something in place of a record or of evidence."""

    def stored(self, name: str, *, evidence: bool = False) -> dict[str, str] | str: ...

    def lifetime(self, name: str, *, evidence: bool = False) -> float | None:
        """Returns the seconds until a key expires, None if it never does."""

    def publish(self, data: bytes) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        self.clock = ManualClock(0.0)
        self.server = InMemoryServer(clock=self.clock)

    def store(self) -> InMemoryStore:
        return InMemoryStore(self.server, op_timeout_seconds=PATIENT_SECONDS)

    def advance(self, seconds: float) -> None:
        self.server.step_clock(seconds)

    def flush(self) -> None:
        self.server.flush()

    def evict(self, name: str, *, record: bool = False, evidence: bool = False) -> None:
        self.server.evict(name, record=record, evidence=evidence)

    def forget_scripts(self) -> None:
        """There are none to forget."""

    def backup(self) -> object:
        return self.server.backup()

    def restore(self, data: object) -> None:
        self.server.restore(data)

    def put(self, name: str, fields: dict[str, str] | str, *, evidence: bool = False) -> None:
        self.server.keyspace.hashes[self._key(name, evidence=evidence)] = fields

    def stored(self, name: str, *, evidence: bool = False) -> dict[str, str] | str:
        self.server.keyspace.sweep(self.server.now_us)
        return self.server.keyspace.read(self._key(name, evidence=evidence))

    def lifetime(self, name: str, *, evidence: bool = False) -> float | None:
        deadline = self.server.keyspace.deadlines_us.get(self._key(name, evidence=evidence))
        return None if deadline is None else (deadline - self.server.now_us) / 1e6

    def publish(self, data: bytes) -> None:
        self.server.publish(data)

    def _key(self, name: str, *, evidence: bool) -> str:
        return Namespace("default").keys(name)[evidence]


class RedisWorld:
    def __init__(self, url: str, admin: redis.Redis) -> None:
        self._url = url
        self._admin = admin
        self._now_us = START_US
        admin.flushall()
        set_clock(admin, self._now_us)

    def store(self) -> AdjustableStore:
        store = AdjustableStore(self._url, op_timeout_seconds=PATIENT_SECONDS, connect_timeout_seconds=PATIENT_SECONDS)
        store.run(scripts_on())
        return store

    def advance(self, seconds: float) -> None:
        self._now_us += round(seconds * 1_000_000)
        set_clock(self._admin, self._now_us)
        let_pass(self._admin, self._admin.keys("cb:*"), round(seconds * 1_000))

    def flush(self) -> None:
        self._admin.flushall()
        set_clock(self._admin, self._now_us)

    def evict(self, name: str, *, record: bool = False, evidence: bool = False) -> None:
        for key, lost in zip(Namespace("default").keys(name), (record, evidence), strict=True):
            if lost:
                self._admin.delete(key)

    def forget_scripts(self) -> None:
        self._admin.script_flush()

    def backup(self) -> dict[bytes, tuple[int, bytes]]:
        return {key: (max(0, self._admin.pttl(key)), self._admin.dump(key)) for key in self._admin.keys("cb:*")}

    def restore(self, data: dict[bytes, tuple[int, bytes]]) -> None:
        self.flush()
        for key, (left, value) in data.items():
            self._admin.restore(key, left, value)

    def put(self, name: str, fields: dict[str, str] | str, *, evidence: bool = False) -> None:
        key = self._key(name, evidence=evidence)
        self._admin.delete(key)
        if isinstance(fields, str):
            self._admin.set(key, fields)
        else:
            self._admin.hset(key, mapping=fields)

    def stored(self, name: str, *, evidence: bool = False) -> dict[str, str] | str:
        key = self._key(name, evidence=evidence)
        if self._admin.type(key) == b"string":
            return self._admin.get(key).decode()
        return {field.decode(): value.decode() for field, value in self._admin.hgetall(key).items()}

    def lifetime(self, name: str, *, evidence: bool = False) -> float | None:
        left = self._admin.pttl(self._key(name, evidence=evidence))
        return None if left < 0 else left / 1e3

    def publish(self, data: bytes) -> None:
        self._admin.publish(Namespace("default").channel, data)

    def _key(self, name: str, *, evidence: bool) -> str:
        return Namespace("default").keys(name)[evidence]
