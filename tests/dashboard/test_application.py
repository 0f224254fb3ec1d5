"""Which path serves what, by requests made by hand."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

import recloser.dashboard
from recloser import BreakerRegistry
from recloser.dashboard import Dashboard
from tests.dashboard.kit import AUTHORISED, TOKEN, Connection, ask

pytestmark = pytest.mark.anyio

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
STATIC = Path(recloser.dashboard.__file__).parent / "static"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/static/main.js", 200),
        ("GET", "/status.json", 200),
        ("HEAD", "/events", 200),
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("GET", "/control", 405),
        ("POST", "/control", 401),
    ],
)
async def test_every_answer_has_the_policy(registry: BreakerRegistry, method: str, path: str, status: int) -> None:
    answer = await ask(Dashboard(registry, control_token=TOKEN), path, method=method)
    assert answer.status == status
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_the_page_asks_for_nothing_by_an_absolute_url(registry: BreakerRegistry) -> None:
    page = bytes((await ask(Dashboard(registry), "/")).body)
    assert page == (STATIC / "index.html").read_bytes()
    assert b'src="/' not in page
    assert b'href="/' not in page
    assert b"://" not in page.replace(b"http://www.w3.org/", b"")


async def test_the_page_finds_every_file_that_it_asks_for(registry: BreakerRegistry) -> None:
    dashboard = Dashboard(registry)
    page = bytes((await ask(dashboard, "/")).body).decode()
    asked_for = set(re.findall(r'(?:href|src)="([^"#]+)"', page))
    assert {"static/main.js", "static/vendor/uplot/uPlot.iife.min.js", "static/vendor/uplot/uPlot.min.css"} <= asked_for
    assert {path: (await ask(dashboard, f"/{path}")).status for path in asked_for} == dict.fromkeys(asked_for, 200)


@pytest.mark.parametrize("path", ["/nothing", "/static/../__init__.py", "/static/", "/static/index.html", "/control"])
async def test_what_is_no_page_is_a_404_that_says_where_there_is_one(registry: BreakerRegistry, path: str) -> None:
    answer = await ask(Dashboard(registry), path, method="POST" if path == "/control" else "GET", headers=AUTHORISED)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such page. The dashboard is at / of the path that it is mounted at.",
    }


async def test_another_method_is_a_405_that_names_those_there_are(registry: BreakerRegistry) -> None:
    answer = await ask(Dashboard(registry), "/status.json", method="DELETE")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/status.json", "/events", "/nothing"])
async def test_a_head_request_gets_no_body(registry: BreakerRegistry, path: str) -> None:
    answer = await ask(Dashboard(registry), path, method="HEAD")
    assert answer.body == b""
    assert answer.headers["content-type"]


@pytest.mark.parametrize("tag", ["{}", "W/{}", '"other", {}', "*"])
async def test_a_file_that_a_browser_has_is_not_sent_again(registry: BreakerRegistry, tag: str) -> None:
    first = await ask(Dashboard(registry), "/static/main.js")
    known = tag.format(first.headers["etag"])
    second = await ask(Dashboard(registry), "/static/main.js", headers={"if-none-match": known})
    assert (second.status, second.body) == (304, b"")
    assert second.headers["etag"] == first.headers["etag"]
    assert "content-length" not in second.headers
    assert first.headers["cache-control"] == "no-cache"


async def test_a_file_that_has_changed_is_sent(registry: BreakerRegistry) -> None:
    answer = await ask(Dashboard(registry), "/static/main.js", headers={"if-none-match": '"old"'})
    assert (answer.status, bytes(answer.body)) == (200, (STATIC / "main.js").read_bytes())


@pytest.mark.parametrize(
    ("scope", "location"),
    [
        ({"path": "/ops/breakers", "root_path": "/ops/breakers"}, "./breakers/"),
        ({"path": "/ops/a b", "root_path": "/ops/a b"}, "./a%20b/"),
        ({"path": "/", "root_path": "", "raw_path": b"/ops/breakers"}, "./breakers/"),
        ({"path": "/b", "root_path": "/b", "raw_path": b"/b?x=1", "query_string": b"x=1"}, "./b/?x=1"),
    ],
)
async def test_without_a_slash_at_the_end_it_redirects_to_where_relative_urls_work(
    registry: BreakerRegistry, scope: dict[str, Any], location: str
) -> None:
    answer = await ask(Dashboard(registry), **scope)
    assert (answer.status, answer.headers["location"]) == (308, location)


@pytest.mark.parametrize(
    "scope",
    [
        {"path": "/b/status.json", "root_path": "/b"},
        {"path": "/b/status.json", "root_path": "/b/"},
        {"path": "/status.json/", "root_path": "", "raw_path": b"/b/status.json"},
        {"path": "/status.json", "root_path": "/behind/a/proxy"},
        {"path": "/status.json"},
    ],
)
async def test_it_finds_its_paths_wherever_it_is_mounted(registry: BreakerRegistry, scope: dict[str, Any]) -> None:
    assert (await ask(Dashboard(registry), **scope)).status == 200


async def test_a_prefix_that_only_looks_like_its_own_is_none(registry: BreakerRegistry) -> None:
    assert (await ask(Dashboard(registry), "/breakers-old/status.json", root_path="/breakers")).status == 404


async def test_websockets_are_refused(registry: BreakerRegistry) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await Dashboard(registry)({"type": "websocket", "path": "/events"}, None, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_the_lifespan_has_nothing_to_wait_for(registry: BreakerRegistry) -> None:
    coming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return coming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await Dashboard(registry)({"type": "lifespan"}, receive, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_scope_of_an_unknown_kind_is_left_alone(registry: BreakerRegistry) -> None:
    await Dashboard(registry)({"type": "quic"}, None, None)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"registry": {}}, TypeError, r"registry must be a BreakerRegistry, not \{\}"),
        ({"interval_seconds": "1"}, TypeError, "interval_seconds must be a finite number of seconds > 0, not '1'"),
        ({"interval_seconds": True}, TypeError, "interval_seconds must be a finite number of seconds > 0, not True"),
        ({"interval_seconds": 0}, ValueError, "interval_seconds must be a finite number of seconds > 0, not 0"),
        ({"interval_seconds": float("nan")}, ValueError, "interval_seconds must be a finite .* > 0, not nan"),
        ({"service": 7}, TypeError, "service must be a text or None, not of type int"),
        ({"max_streams": 0}, ValueError, "max_streams must be an integer >= 1, not 0"),
        ({"max_streams": 1.0}, TypeError, "max_streams must be an integer >= 1, not 1.0"),
        ({"max_streams": True}, TypeError, "max_streams must be an integer >= 1, not True"),
    ],
)
def test_a_bad_argument_is_named(
    registry: BreakerRegistry, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Dashboard(**{"registry": registry, **arguments})


@pytest.mark.parametrize(
    ("token", "error"),
    [
        ("fifteen-letters", ValueError),
        ("sixteen letters!", ValueError),
        ("schlüssel-schlüssel", ValueError),
        (7, TypeError),
    ],
)
def test_a_token_that_is_unfit_is_refused_and_not_shown(
    registry: BreakerRegistry, token: object, error: type[Exception]
) -> None:
    wanted = "control_token must be at least 16 visible ASCII characters"
    with pytest.raises(error, match=wanted) as caught:
        Dashboard(registry, control_token=token)
    assert str(token) not in str(caught.value)


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_the_page_knows_whether_there_is_control(registry: BreakerRegistry, token: str | None) -> None:
    answer = await ask(Dashboard(registry, control_token=token, interval_seconds=2), "/status.json")
    about = answer.json()["dashboard"]
    assert (about["version"], about["control"], about["interval_seconds"]) == (2, token is not None, 2.0)
    assert about["run"]


async def test_a_client_that_is_gone_gets_no_answer_and_raises_nothing(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Connection(Dashboard(registry), "/status.json")
    connection.error_of_send = OSError("gone")
    with caplog.at_level(logging.DEBUG):
        await connection.run()
    assert connection.body == b""
    assert not caplog.records


async def test_names_of_any_text_survive(registry: BreakerRegistry) -> None:
    names = ["</script><script>alert(1)</script>", "\ud800 half", "a\nb\x00\x1b[31m\u2028", "", "é✓", 'quote"\\']
    for name in names:
        registry.breaker(name)
    answer = await ask(Dashboard(registry), "/status.json")
    text = bytes(answer.body).decode("ascii")
    assert "</" not in text
    assert "\n" not in text
    assert set(json.loads(text)["breakers"]) == set(names)
