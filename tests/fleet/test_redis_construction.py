"""`RedisStore(...)`: what it takes, what it refuses, what it shows, and TLS."""

import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from recloser.fleet import FleetStoreError, _store
from recloser.fleet._store.connection import RedisEndpoint
from recloser.fleet.store import Code, RedisStore, Sync
from tests.fleet.proxy import proxy_to
from tests.fleet.server import RedisServer

PATIENT_SECONDS = 20.0


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost"),
        ("redis://user:secret@localhost:6380/2", "redis://localhost:6380/2"),
        ("rediss://:secret@redis.example:6379?ssl_cert_reqs=none", "rediss://redis.example:6379"),
        ("unix://user:secret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("redis://localhost?password=secret", "redis://localhost"),
    ],
)
def test_a_store_shows_where_it_leads_and_no_credentials(url: str, shown: str) -> None:
    assert repr(RedisStore(url, namespace="shop")) == f"RedisStore({shown!r}, namespace='shop')"


@pytest.mark.parametrize(
    "url",
    [
        "http://secret@localhost",
        "localhost:6379",
        "",
        "redis://user:sec/ret@localhost",
        "redis://user:1/secret@localhost",
        "redis://user:1#secret@localhost",
        "redis://localhost:99999/secret",
        "redis://localhost?secret=1",
        "redis://localhost?connection_class=secret",
        "redis://localhost?socket_read_size=secret",
        "rediss://localhost?ssl_cert_reqs=secret",
        "redis://[secret",
        "unix://",
    ],
)
def test_a_bad_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="^url must ") as caught:
        RedisStore(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis+sentinel://user:secret@h1:26379,h2:26379/mymaster/0", "not name Redis Sentinel"),
        ("sentinel://h1:26379/mymaster", "not name Redis Sentinel"),
        ("redis://user:sec,ret@h1:6379,h2:6379/0", "name one server"),
        ("redis://h1,h2", "name one server"),
    ],
)
def test_a_url_of_several_servers_is_refused_for_what_it_means(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        RedisStore(url)
    assert "sec" not in str(caught.value)


def test_a_comma_in_a_password_is_no_list_of_servers() -> None:
    assert repr(RedisStore("redis://user:a,b@localhost")).startswith("RedisStore('redis://localhost'")


@pytest.mark.parametrize("url", [b"redis://localhost", None, 7])
def test_a_url_is_a_string(url: object) -> None:
    with pytest.raises(TypeError, match="^url must be a string"):
        RedisStore(url)


@pytest.mark.parametrize("argument", ["op_timeout_seconds", "connect_timeout_seconds", "ping_interval_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_time_is_finite_and_above_zero(argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{argument} must be a finite number of seconds > 0, not"):
        RedisStore("redis://localhost", **{argument: value})


@pytest.mark.parametrize("namespace", ["", "x" * 101, "ä" * 51, "\ud800"])
def test_a_namespace_is_a_short_text(namespace: str) -> None:
    with pytest.raises(ValueError, match="^namespace must be "):
        RedisStore("redis://localhost", namespace=namespace)


def test_a_namespace_is_a_string() -> None:
    with pytest.raises(TypeError, match="^namespace must be a str"):
        RedisStore("redis://localhost", namespace=7)


def test_the_urls_own_timeouts_and_retries_do_not_count() -> None:
    url = "redis://localhost?socket_timeout=60&retry_on_timeout=yes&max_connections=3&protocol=3&timeout=5"
    options = RedisEndpoint(url, op_timeout_seconds=0.2, connect_timeout_seconds=1.0).options
    assert (options["socket_timeout"], options["protocol"], options["retry"].get_retries()) == (0.2, 2, 0)


def test_no_answer_is_waited_for_longer_than_a_tenth_of_a_second_by_default() -> None:
    assert RedisStore("redis://localhost").op_timeout_seconds == 0.1


def test_without_redis_py_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_store, "connection", raising=False)
    monkeypatch.setitem(sys.modules, "recloser.fleet._store.connection", None)
    with pytest.raises(ImportError, match=r"pip install 'recloser\[redis\]'"):
        RedisStore("redis://localhost")


def test_the_package_is_imported_without_redis_py() -> None:
    script = "import sys; sys.modules['redis'] = None; import recloser.fleet"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_is_told_that_it_is_not_served(anyio_backend: str) -> None:
    assert anyio_backend == "trio"
    store = RedisStore("redis://localhost")
    with pytest.raises(RuntimeError, match="asyncio only"):
        await store.connect()
    with pytest.raises(RuntimeError, match="asyncio only"):
        async with store.subscribe():
            pytest.fail("subscribed")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost, with its key in the file beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    files = ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *files, *name]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_operations_and_messages_go_over_tls(
    anyio_backend: str, certificate: Path, redis_server: RedisServer
) -> None:
    assert anyio_backend == "asyncio"
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, certificate.with_suffix(".key"))
    async with proxy_to(redis_server.socket, tls) as proxy:
        url = f"rediss://localhost:{proxy.port}?ssl_ca_certs={certificate}"
        times = {"op_timeout_seconds": PATIENT_SECONDS, "connect_timeout_seconds": PATIENT_SECONDS}
        async with RedisStore(url, **times) as store, store.subscribe():
            assert (await store.execute([Sync(name="payments")]))[0].code is Code.DONE
        distrustful = RedisStore(f"rediss://localhost:{proxy.port}", **times)
        with pytest.raises(FleetStoreError, match="(?i)certificate"):
            await distrustful.connect()
        await anyio.lowlevel.checkpoint()
