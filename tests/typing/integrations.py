"""The types of the integrations: each line must be accepted by mypy --strict and by pyright strict."""

# pyright: strict

from typing import Any, assert_type

import aiosqlite
import httpx
import httpx2
import psycopg
import psycopg_pool
from fastapi import FastAPI
from litestar import Litestar
from mcp.server import MCPServer
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from starlette.applications import Starlette

import recloser.integrations.aiosqlite
import recloser.integrations.http_errors
import recloser.integrations.httpx
import recloser.integrations.httpx2
import recloser.integrations.psycopg
import recloser.integrations.sqlalchemy
from recloser import BreakerRegistry, CircuitBreaker
from recloser.integrations.asgi import RejectionMiddleware, exception_handlers, litestar_exception_handlers
from recloser.integrations.mcp import add_health_resource, explain_rejections

breakers = BreakerRegistry()
server = MCPServer("typed")

add_health_resource(server, breakers)


@server.tool()
@explain_rejections
@breakers.breaker("weather")
async def forecast(city: str, days: int = 1) -> str:
    return city * days


@explain_rejections(message="No weather.")
async def now(city: str) -> int:
    return len(city)


async def main() -> None:
    assert_type(await forecast("Oslo", days=2), str)
    assert_type(await now("Oslo"), int)


fast = FastAPI(exception_handlers=exception_handlers(rate_limited_status=429))
star = Starlette(exception_handlers=exception_handlers())
star.add_middleware(RejectionMiddleware, rate_limited_status=429)
fast.add_middleware(RejectionMiddleware)
lite = Litestar([], exception_handlers=litestar_exception_handlers())
RejectionMiddleware(star)
RejectionMiddleware(fast)


def transport() -> None:
    guarded = recloser.integrations.httpx.BreakerTransport(httpx.AsyncHTTPTransport(), registry=BreakerRegistry())
    assert_type(guarded.registry, BreakerRegistry | None)
    assert_type(guarded.breaker_for("https://api.example"), CircuitBreaker)
    httpx.AsyncClient(transport=guarded)
    recloser.integrations.httpx.BreakerTransport(
        breaker=CircuitBreaker(),
        failure_statuses=range(500, 600),
        ignored_exception=(httpx.ReadTimeout, httpx.ProxyError),
        max_retry_after_seconds=None,
    )
    recloser.integrations.httpx.BreakerTransport(
        key=lambda request: request.url.host or None, on_rejection=recloser.integrations.httpx.answer_503
    )
    recloser.integrations.httpx.BreakerTransport(
        on_rejection=lambda error, request: httpx.Response(503, text=error.name, request=request)
    )


def transport_of_httpx2() -> None:
    guarded = recloser.integrations.httpx2.BreakerTransport(
        httpx2.AsyncHTTPTransport(), on_rejection=recloser.integrations.httpx2.raise_transport_error
    )
    httpx2.AsyncClient(transport=guarded)


def http_errors() -> None:
    CircuitBreaker(expected_exception=recloser.integrations.http_errors.is_failure)
    assert_type(recloser.integrations.http_errors.is_failure(KeyError()), bool)


async def databases(engine: AsyncEngine, pool: psycopg_pool.AsyncConnectionPool) -> None:
    breaker = CircuitBreaker(expected_exception=recloser.integrations.sqlalchemy.is_failure)
    async with recloser.integrations.sqlalchemy.guard(breaker, engine.begin()) as connection:
        assert_type(connection, AsyncConnection)
    async with recloser.integrations.sqlalchemy.guard(breaker, async_sessionmaker(engine).begin()) as session:
        assert_type(session, AsyncSession)
    async with recloser.integrations.aiosqlite.guard(breaker, aiosqlite.connect(":memory:")) as database:
        assert_type(database, aiosqlite.Connection)
    guarded = recloser.integrations.psycopg.BreakerPool(pool, breaker=breaker, failure_sqlstates=("57014",))
    async with guarded.connection(timeout=1.0) as connected:
        assert_type(connected, psycopg.AsyncConnection[Any])
