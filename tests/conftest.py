"""What every test shares: Ctrl-C that works, the Hypothesis profile of the soak session, and a PostgreSQL, a Redis."""

import gc
import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.fleet.server import RedisServer
from tests.integrations.postgres import PostgreSQL, find_programs

# A shell that starts a program in the background has it ignore Ctrl-C; the tests that press it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Locally and in CI, Hypothesis brings its own profiles; `nox -s soak` takes this one.
settings.register_profile("soak", max_examples=20_000, stateful_step_count=100, deadline=None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exempts what the imports made from garbage collection: tests collect often, and all of that would be visited."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    """Escapes what is no Unicode text in reports, which tests that run side by side send as UTF-8."""
    return _escaped((yield))


def _escaped(report: object) -> object:
    if isinstance(report, str):
        return report.encode(errors="backslashreplace").decode()
    if isinstance(report, dict):
        return {_escaped(key): _escaped(value) for key, value in report.items()}
    if isinstance(report, list | tuple):
        return type(report)(_escaped(item) for item in report)
    return report


@pytest.fixture(scope="session")
def postgres_of_session() -> Generator[PostgreSQL]:
    programs = find_programs()
    if programs is None:
        reason = "there is no PostgreSQL server on this machine (initdb and postgres; Debian: apt install postgresql)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    server = PostgreSQL(programs)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def postgres(postgres_of_session: PostgreSQL) -> PostgreSQL:
    """Returns a server that runs, and that the test may kill or freeze."""
    postgres_of_session.ensure_running()
    return postgres_of_session


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server
