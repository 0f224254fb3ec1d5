"""What the tests of the integrations share: a server, and the libraries that have the same API."""

import importlib
import socket
from collections.abc import AsyncGenerator, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from tests.integrations.upstream import HOST, Upstream, serving


class Library(NamedTuple):
    """A client library and the transport for it."""

    web: ModuleType
    transport: type[Any]


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Library:
    adapter = importlib.import_module(f"recloser.integrations.{request.param}")
    return Library(importlib.import_module(request.param), adapter.BreakerTransport)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def upstream(anyio_backend: str) -> AsyncGenerator[Upstream]:  # noqa: ARG001 - for whichever runs
    async with serving() as server:
        yield server


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port on which nobody listens, and on which nobody else can begin to."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        yield bound.getsockname()[1]
