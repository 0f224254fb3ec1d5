"""Control: what those who know the token may do, what others may not, and what is logged of both."""

import json
import logging
from typing import Any

import pytest

from recloser import BreakerRegistry
from recloser.dashboard import Dashboard
from tests.dashboard.kit import AUTHORISED, TOKEN, Connection, ask, trip

pytestmark = pytest.mark.anyio
ORDER = {"breaker": "orders", "action": "force_open", "reason": "maintenance", "author": "ann"}


async def order(
    registry: BreakerRegistry, changes: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> Connection:
    body = json.dumps({**ORDER, **(changes or {})}).encode()
    return await send(registry, body, headers=headers)


async def send(registry: BreakerRegistry, *body: bytes, headers: dict[str, str] | None = None) -> Connection:
    sent = {**AUTHORISED, "host": "shop.example", **(headers or {})}
    application = Dashboard(registry, control_token=TOKEN)
    return await ask(application, "/control", method="POST", headers=sent, body=body, client=("10.0.0.7", 1))


async def test_who_knows_the_token_forces_open_and_the_reason_is_shown(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "recloser.dashboard")
    breaker = registry.breaker("orders")
    answer = await order(registry, {"for_seconds": 90})
    assert (answer.status, answer.json()) == (200, {"breaker": "orders", "state": "forced_open"})
    assert "forced open by ann for 90 s: maintenance" in breaker.explain()
    assert breaker.health()["retry_after"] == 90
    [record] = [record for record in caplog.records if record.name == "recloser.dashboard"]
    assert record.getMessage() == (
        "Control by 'ann' from 10.0.0.7: force_open of circuit breaker 'orders' for 90 s, because 'maintenance'"
    )
    assert (record.circuit_breaker, record.action, record.for_seconds) == ("orders", "force_open", 90.0)  # type: ignore[attr-defined]
    assert TOKEN not in caplog.text


TRIGGERS = {"force_open": "forced_open", "disable": "disabled", "reset": "reset"}


@pytest.mark.parametrize(
    ("action", "state"), [("force_open", "forced_open"), ("disable", "disabled"), ("reset", "closed")]
)
async def test_each_action_does_what_its_name_says(registry: BreakerRegistry, action: str, state: str) -> None:
    await trip(registry.breaker("orders"))
    answer = await order(registry, {"action": action})
    assert (answer.status, answer.json()["state"]) == (200, state)
    assert registry.breaker("orders").get_state() == state
    cause = registry.breaker("orders").snapshot().cause
    assert (cause.trigger, cause.reason, cause.author) == (TRIGGERS[action], "maintenance", "ann")


async def test_disable_ends_by_itself_if_the_order_has_a_time(registry: BreakerRegistry) -> None:
    registry.breaker("orders")
    answer = await order(registry, {"action": "disable", "for_seconds": 90})
    assert answer.status == 200
    assert registry.breaker("orders").snapshot().cause.for_seconds == 90


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong-wrong-wrong-wrong", f"Basic {TOKEN}", TOKEN, "Bearer schlüssel"]
)
async def test_who_does_not_know_the_token_is_refused_and_that_is_logged(
    registry: BreakerRegistry, authorization: str, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = registry.breaker("orders")
    answer = await order(registry, headers={"authorization": authorization})
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Authorization: Bearer" in answer.json()["detail"]
    assert breaker.get_state() == "closed"
    assert "Control refused to 10.0.0.7 with 401" in caplog.text
    assert "wrong-wrong" not in caplog.text


async def test_the_scheme_of_the_token_may_be_in_any_case(registry: BreakerRegistry) -> None:
    registry.breaker("orders")
    assert (await order(registry, headers={"authorization": f"bEARER  {TOKEN} "})).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://shop.example:81"},
    ],
)
async def test_another_site_is_refused_even_with_the_token(registry: BreakerRegistry, headers: dict[str, str]) -> None:
    breaker = registry.breaker("orders")
    assert (await order(registry, headers=headers)).status == 403
    assert breaker.get_state() == "closed"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin", "origin": "https://shop.example"},
        {"sec-fetch-site": "same-origin", "origin": "http://a-proxy-changed-the-host.example"},
        {"sec-fetch-site": "none"},
        {"origin": "HTTP://SHOP.example"},
    ],
)
async def test_the_page_itself_is_not_refused(registry: BreakerRegistry, headers: dict[str, str]) -> None:
    registry.breaker("orders")
    assert (await order(registry, headers=headers)).status == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_what_a_form_could_send_is_refused(registry: BreakerRegistry, content_type: str) -> None:
    registry.breaker("orders")
    assert (await order(registry, headers={"content-type": content_type})).status == 415


async def test_json_with_a_charset_is_json(registry: BreakerRegistry) -> None:
    registry.breaker("orders")
    assert (await order(registry, headers={"content-type": "Application/JSON; charset=utf-8"})).status == 200


async def test_a_breaker_that_is_not_there_is_a_404(registry: BreakerRegistry) -> None:
    answer = await order(registry, {"breaker": "<b>gone</b>"})
    assert answer.status == 404
    assert "look at /status.json" in answer.json()["detail"]
    assert len(registry) == 0


async def test_an_order_for_an_older_state_is_a_409(registry: BreakerRegistry) -> None:
    breaker = registry.breaker("orders")
    seen = breaker.generation
    await trip(breaker)
    answer = await order(registry, {"generation": seen})
    assert answer.status == 409
    assert "is open by now. Look again" in answer.json()["detail"]
    assert (await order(registry, {"generation": breaker.generation})).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'{"for_seconds": Infinity}', b"\xff", b"[" * 10_000])
async def test_a_body_that_is_no_json_is_refused(registry: BreakerRegistry, body: bytes) -> None:
    assert (await send(registry, body)).status == 400


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"colour": "red"}, "There is no member 'colour'"),
        ({"breaker": 7}, "breaker must be the name"),
        ({"action": "explode"}, "action must be one of force_open, disable, reset"),
        ({"action": None}, "action must be one of"),
        ({"reason": ""}, "reason must be a text of 1 to 500 characters"),
        ({"reason": " \n "}, "reason must be a text"),
        ({"reason": "x" * 501}, "reason must be a text"),
        ({"reason": "\x1b[31mred"}, "reason must be a text"),
        ({"reason": "\ud800"}, "reason must be a text"),
        ({"reason": "safe \u202etxt.exe"}, "reason must be a text"),
        ({"author": None}, "author must be a text"),
        ({"for_seconds": 0}, "for_seconds must be null or a number of seconds > 0 and <= 316_224_000 (ten years)"),
        ({"for_seconds": -1}, "for_seconds must be null or a number of seconds > 0 and <= 316_224_000"),
        ({"for_seconds": 10**400}, "for_seconds must be null or a number of seconds > 0 and <= 316_224_000"),
        ({"for_seconds": 1e308}, "for_seconds must be null or a number of seconds > 0 and <= 316_224_000"),
        ({"for_seconds": True}, "for_seconds must be null or a number"),
        ({"for_seconds": "60"}, "for_seconds must be null or a number"),
        ({"action": "reset", "for_seconds": 60}, "for_seconds must be null for reset"),
        ({"generation": "1"}, "generation must be null or the number"),
        ({"generation": True}, "generation must be null or the number"),
    ],
)
async def test_the_answer_says_what_is_wrong_with_an_order(
    registry: BreakerRegistry, changes: dict[str, Any], detail: str
) -> None:
    breaker = registry.breaker("orders")
    answer = await order(registry, changes)
    assert answer.status == 422
    assert detail in answer.json()["detail"]
    assert breaker.get_state() == "closed"


async def test_an_order_that_is_no_object_is_refused(registry: BreakerRegistry) -> None:
    answer = await send(registry, b"[]")
    assert (answer.status, answer.json()["detail"]) == (422, "The body must be a JSON object.")


async def test_texts_are_logged_on_one_line(registry: BreakerRegistry, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "recloser.dashboard")
    registry.breaker("orders")
    assert (await order(registry, {"reason": "down\n2026-01-01 forged  line"})).status == 200
    assert "because 'down 2026-01-01 forged line'" in caplog.text


async def test_a_body_that_comes_in_parts_is_put_together(registry: BreakerRegistry) -> None:
    registry.breaker("orders")
    body = json.dumps(ORDER).encode()
    assert (await send(registry, body[:10], body[10:])).status == 200


async def test_a_body_that_is_too_long_is_refused_before_it_has_ended(registry: BreakerRegistry) -> None:
    answer = await send(registry, *[b" " * 10_000] * 1_000)
    assert (answer.status, answer.json()["detail"]) == (413, "Send at most 16384 bytes.")


async def test_who_leaves_before_the_body_has_ended_has_ordered_nothing(registry: BreakerRegistry) -> None:
    breaker = registry.breaker("orders")
    application = Dashboard(registry, control_token=TOKEN)
    connection = Connection(application, "/control", method="POST", headers=AUTHORISED, body=())
    connection.leave()
    await connection.run()
    assert connection.start is None
    assert breaker.get_state() == "closed"


async def test_a_server_that_does_not_know_its_client_says_so(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    application = Dashboard(registry, control_token=TOKEN)
    await ask(application, "/control", method="POST", headers={})
    assert "Control refused to an unknown address" in caplog.text


async def test_without_a_token_there_is_no_control(registry: BreakerRegistry) -> None:
    breaker = registry.breaker("orders")
    body = json.dumps(ORDER).encode()
    answer = await ask(Dashboard(registry), "/control", method="POST", headers=AUTHORISED, body=(body,))
    assert answer.status == 404
    assert breaker.get_state() == "closed"


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
async def test_control_answers_to_post_alone(registry: BreakerRegistry, method: str) -> None:
    answer = await ask(Dashboard(registry, control_token=TOKEN), "/control", method=method, headers=AUTHORISED)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_an_order_for_another_process_is_refused(registry: BreakerRegistry) -> None:
    breaker = registry.breaker("orders")
    application = Dashboard(registry, control_token=TOKEN)
    shown = (await ask(application, "/status.json")).json()["overview"]["instance"]
    order = {"breaker": "orders", "action": "force_open", "reason": "a test", "author": "Ada"}
    body = (json.dumps({**order, "instance": "web-2:7"}).encode(),)
    refused = await ask(application, "/control", method="POST", headers=AUTHORISED, body=body)
    assert refused.status == 409
    assert shown in refused.json()["detail"]
    assert breaker.state == "closed"
    body = (json.dumps({**order, "instance": shown}).encode(),)
    assert (await ask(application, "/control", method="POST", headers=AUTHORISED, body=body)).status == 200
    body = (json.dumps({**order, "instance": 7}).encode(),)
    assert (await ask(application, "/control", method="POST", headers=AUTHORISED, body=body)).status == 422
