"""A private PostgreSQL for the tests: started on a free port, killed, frozen, started again, and cleaned up."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

READY = b"database system is ready to accept connections"
START_SECONDS = 30.0
SHUTDOWN_SECONDS = 10.0
MAX_CONNECTIONS = 8
DATABASE = "postgres"
DIES_WITH_THE_TESTS = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
USER = "app"

SETTINGS = {
    "dynamic_shared_memory_type": "mmap",  # in the data directory, which goes away with it
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": MAX_CONNECTIONS,
    "max_wal_senders": 0,
    "shared_buffers": "1MB",
    "superuser_reserved_connections": 0,
    "wal_level": "minimal",
    "autovacuum": "off",
    "deadlock_timeout": "10ms",
    "lc_messages": "C",
}


def find_programs() -> Path | None:
    """Returns where PostgreSQL's `initdb` and `postgres` are: on the path, else the newest that Debian has."""
    found = shutil.which("initdb")
    if found and (programs := Path(found).resolve().parent).joinpath("postgres").exists():
        return programs
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


class PostgreSQL:
    """A server of its own, with a database named `postgres` and a superuser without a password.

    Args:
        programs: Where `initdb` and `postgres` are.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._as_user = _unprivileged()
        self._home = Path(tempfile.mkdtemp(prefix="recloser-"))
        self._data = self._home / "data"
        if user := self._as_user.get("user"):
            os.chown(self._home, user, self._as_user["group"])
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        initdb = ["initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={USER}"]
        subprocess.run(
            [programs / initdb[0], *initdb[1:], "--pgdata", self._data],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._options(),
        )

    def _options(self) -> dict[str, Any]:
        return {"cwd": self._home, "stdin": subprocess.DEVNULL, **self._as_user}

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def dsn(self, *, scheme: str = "postgresql", database: str = DATABASE, user: str = USER) -> str:
        return f"{scheme}://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts the server, and returns when it answers."""
        settings = {**SETTINGS, "port": self.port, "unix_socket_directories": self._home}
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [*DIES_WITH_THE_TESTS, self._programs / "postgres", "-D", self._data, *arguments]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, **self._options())
        self._process = process
        said: list[bytes] = []
        answered = threading.Event()
        threading.Thread(target=_listen, args=(process, said, answered), daemon=True).start()
        answered.wait(START_SECONDS)
        if READY not in b"".join(said):
            self.kill()
            raise RuntimeError(f"PostgreSQL did not start: {b''.join(said).decode(errors='replace')}")

    def ensure_running(self) -> None:
        if not self.is_running:
            self.start()

    def kill(self) -> None:
        """Kills all of its processes at once."""
        for process_id in self._freeze():
            _signal(process_id, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def freeze(self) -> None:
        """Stops all of its processes: the kernel goes on accepting connections, and nobody answers."""
        self._freeze()

    def thaw(self) -> None:
        for process_id in self._family():
            _signal(process_id, signal.SIGCONT)

    def refuse_newcomers(self) -> None:
        """Shuts down once the last client has gone; until then newcomers hear 57P03."""
        self._signal_first(signal.SIGTERM)

    def close(self) -> None:
        """Stops the server and removes its files."""
        if self.is_running:
            self.thaw()
            self._signal_first(signal.SIGINT)
            try:
                self._process.wait(SHUTDOWN_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def _freeze(self) -> list[int]:
        """Stops the first process and waits for it to stand, so that it makes no more others; then stops the others."""
        if self._process is None or not self.is_running:
            return []
        self._signal_first(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        family = self._family()
        for process_id in family:
            _signal(process_id, signal.SIGSTOP)
        return family

    def _family(self) -> list[int]:
        """Returns the first process and its children, each of which is in a process group of its own."""
        assert self._process is not None
        first = self._process.pid
        return [first, *(int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(path) == first)]

    def _signal_first(self, number: signal.Signals) -> None:
        assert self._process is not None
        _signal(self._process.pid, number)


def _parent(process: Path) -> int | None:
    with suppress(OSError):
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    return None


def _signal(process_id: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process_id, number)


def _listen(process: subprocess.Popen[bytes], said: list[bytes], answered: threading.Event) -> None:
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            if answered.is_set():
                continue  # it would block if nobody listened
            said.append(line)
            if READY in line:
                answered.set()
    answered.set()


def _unprivileged() -> dict[str, int]:
    """Returns as whom to run a server that refuses to be run by root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid}
    raise RuntimeError("PostgreSQL refuses to be run by root, and there is no other user")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
