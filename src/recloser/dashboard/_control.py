"""`/control`: forces breakers open, disables and resets them, for operators who have the token.

Unlike a cookie, a browser never sends the token by itself: only a script of the page can put it into a header. So no
other site can act in a user's name. The checks of `Sec-Fetch-Site`, `Origin` and the content type are a second barrier.
Every action and every refusal is one line of the log.
"""

import hashlib
import hmac
from http import HTTPStatus
from typing import ClassVar

from recloser import BreakerRegistry, CircuitBreaker
from recloser.dashboard._http import (
    LIVE,
    GoneError,
    Receive,
    RefusedError,
    Response,
    Scope,
    Send,
    header,
    logger,
    read_body,
    to_json,
)
from recloser.dashboard._order import Order, OrderAction, read_order
from recloser.dashboard._overview import instance_name

SHORTEST_TOKEN = 16
MOST_BYTES = 16 * 1024


def checked_token(token: object) -> str:
    """Return a token after checking it.

    Raises:
        TypeError: It is no string.
        ValueError: It is too short, or can't be sent in a header.
    """
    wanted = f"control_token must be at least {SHORTEST_TOKEN} visible ASCII characters"
    if not isinstance(token, str):
        raise TypeError(f"{wanted}, not of type {type(token).__name__}")
    if len(token) < SHORTEST_TOKEN or not all("!" <= character <= "~" for character in token):
        raise ValueError(f"{wanted}: try secrets.token_urlsafe()")
    return token


class ControlEndpoint:
    """Carries out orders.

    Args:
        registry: The registry with the breakers.
        token: The token that authorises an order.
    """

    methods: ClassVar[tuple[str, ...]] = ("POST",)

    def __init__(self, registry: BreakerRegistry, token: str) -> None:
        self._registry = registry
        self._token = token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry out one order, or respond why it is refused."""
        try:
            response = await self._carry_out(scope, receive)
        except RefusedError as refusal:
            logger.warning("Control refused to %s with %d: %s", _client(scope), refusal.status, refusal.detail)
            response = refusal.response()
        except GoneError:
            return
        await response(scope, send)

    async def _carry_out(self, scope: Scope, receive: Receive) -> Response:
        _refuse_other_sites(scope)
        self._refuse_without_token(scope)
        if (header(scope, "content-type") or "").partition(";")[0].strip().lower() != "application/json":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send JSON, with Content-Type: application/json.")
        order = read_order(await read_body(receive, MOST_BYTES))
        if order.instance is not None and order.instance != (own := instance_name()):
            detail = f"This is {own}, and the order is for {order.instance[:200]!r}: another process has answered."
            raise RefusedError(HTTPStatus.CONFLICT, detail)
        breaker = self._registry.get(order.breaker)
        if breaker is None:
            detail = f"There is no circuit breaker {order.breaker[:200]!r}. It may be gone: look at /status.json."
            raise RefusedError(HTTPStatus.NOT_FOUND, detail)
        if order.generation is not None and order.generation != breaker.generation:
            detail = f"Circuit breaker {order.breaker!r} is {breaker.state} by now. Look again, then repeat the order."
            raise RefusedError(HTTPStatus.CONFLICT, detail)
        _act(breaker, order)
        logger.info("Control by %r from %s: %s", order.author, _client(scope), order, extra=order.fields())
        body = to_json({"breaker": breaker.name, "state": breaker.get_state()})
        return Response(HTTPStatus.OK, body.encode("ascii"), {"content-type": "application/json", **LIVE})

    def has_token(self, scope: Scope) -> bool:
        """Return whether a request has the token."""
        scheme, _, token = (header(scope, "authorization") or "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(token.strip())

    def _refuse_without_token(self, scope: Scope) -> None:
        if not self.has_token(scope):
            detail = "Send the dashboard's control token, as Authorization: Bearer <token>."
            raise RefusedError(HTTPStatus.UNAUTHORIZED, detail, {"www-authenticate": "Bearer"})

    def _is_token(self, token: str) -> bool:
        """Compare digests, so that the time doesn't reveal the length either."""
        given, wanted = (hashlib.sha256(each).digest() for each in (token.encode("latin-1"), self._token))
        return hmac.compare_digest(given, wanted)


def _refuse_other_sites(scope: Scope) -> None:
    """Refuse requests from other sites. Old browsers send the origin only, and a proxy may have changed the host."""
    site, origin = header(scope, "sec-fetch-site"), header(scope, "origin")
    if site == "same-origin":
        return
    if site not in {None, "none"}:
        raise RefusedError(HTTPStatus.FORBIDDEN, "Another site sent this. Use the dashboard's own page.")
    host = (header(scope, "host") or "").lower()
    if origin is not None and origin.lower() not in {f"http://{host}", f"https://{host}"}:
        detail = "The page that sent this comes from another host. A proxy in between has to pass the Host header on."
        raise RefusedError(HTTPStatus.FORBIDDEN, detail)


def _act(breaker: CircuitBreaker, order: Order) -> None:
    if order.action is OrderAction.FORCE_OPEN:
        breaker.force_open(order.reason, for_seconds=order.for_seconds, author=order.author)
    elif order.action is OrderAction.DISABLE:
        breaker.disable(order.reason, for_seconds=order.for_seconds, author=order.author)
    else:
        breaker.reset(order.reason, author=order.author)


def _client(scope: Scope) -> str:
    """Return the address of the client, as far as the server knows it."""
    client = scope.get("client")
    return "an unknown address" if client is None else str(client[0])
