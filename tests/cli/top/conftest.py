"""The fixtures of the tests of the client."""

from tests.cli.client.conftest import anyio_backend, clock

__all__ = ["anyio_backend", "clock"]
