"""Takes the pictures of the dashboard in docs/images: `python -m tests.dashboard.browser.pictures`, in over a minute.

A shop's breakers have traffic, and some of them an outage. The charts fill while the pages are open.
"""

import socket
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import anyio
import uvicorn
from playwright.async_api import Browser, Page, async_playwright, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError, FailureRate
from recloser.dashboard import Dashboard
from tests.dashboard.browser.kit import ARGUMENTS, PHONE, TOKEN, find_browser

IMAGES = Path(__file__).parents[3] / "docs" / "images"
WINDOW = {"width": 1280, "height": 785}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": WINDOW, "color_scheme": "light"},
    "dark": {"viewport": WINDOW, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "is_mobile": True, "has_touch": True},
}
CALLS_PER_SECOND = {
    "payments": 14,
    "search": 32,
    "inventory": 18,
    "recommendations": 25,
    "ledger": 9,
    "mail": 4,
    "prices": 40,
    "https://api.shipping.example": 6,
}
STRAY_FAILURES = 0.02


class DeadlineError(Exception):
    """What a service raises that answers too late."""


class Shop:
    """Services that are called through breakers, and that fail when the play says so."""

    def __init__(self) -> None:
        self._random = Random(7)
        self.registry = BreakerRegistry()
        self.breakers = {name: self.registry.breaker(name, **_policy(name)) for name in CALLS_PER_SECOND}
        self.down: dict[str, Exception] = {}
        self.hanging: set[str] = set()

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            for breaker in self.breakers.values():
                group.start_soon(self._customers, breaker)
            group.start_soon(self._play)

    async def _customers(self, breaker: CircuitBreaker) -> None:
        async with anyio.create_task_group() as group:
            while True:
                await anyio.sleep(self._random.expovariate(CALLS_PER_SECOND[breaker.name]))
                group.start_soon(self._call, breaker)

    async def _call(self, breaker: CircuitBreaker) -> None:
        with suppress(CircuitBreakerOpenError, ConnectionError, DeadlineError):
            await breaker.call(self._serve, breaker.name)

    async def _serve(self, name: str) -> None:
        if name in self.hanging:
            await anyio.sleep(30)
        await anyio.sleep(self._random.uniform(0.005, 0.05))
        if name in self.down:
            raise self.down[name]
        if self._random.random() < STRAY_FAILURES:
            raise ConnectionError("connection reset by peer")

    async def _play(self) -> None:
        """Brings about all states, in time for the pictures."""
        await self._at(18, "ledger", ConnectionError("server closed the connection unexpectedly"))
        await anyio.sleep(9)
        del self.down["ledger"]
        await anyio.sleep(8)
        self.breakers["mail"].disable()
        await anyio.sleep(5)
        self.breakers["recommendations"].force_open("reindexing until noon", for_seconds=900, author="Ada")
        await self._at(12, "search", DeadlineError("no answer within 2 s"))
        await self._at(8, "payments", ConnectionError("connection refused"))
        self.hanging.add("search")

    async def _at(self, seconds: float, name: str, error: Exception) -> None:
        await anyio.sleep(seconds)
        self.down[name] = error


def _policy(name: str) -> dict[str, Any]:
    if name == "search":
        return {"trip_when": FailureRate(0.5, minimum_calls=20), "reset_timeout_seconds": 15}
    return {"failure_threshold": 5, "reset_timeout_seconds": 10 if name == "ledger" else 30}


async def open_page(browser: Browser, port: int, look: dict[str, Any]) -> Page:
    context = await browser.new_context(locale="en", **look)
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{port}/breakers/")
    return page


async def take_pictures(port: int) -> None:
    """Opens a page for each look, and takes its picture when there is something of everything."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        pages = {look: await open_page(browser, port, LOOKS[look]) for look in LOOKS}
        for page in pages.values():
            await expect(page.locator("#list .card[data-state=half_open]")).to_be_visible(timeout=120_000)
        await anyio.sleep(3)
        for look, page in pages.items():
            await page.screenshot(path=IMAGES / f"dashboard-{look}.png")
        await browser.close()


async def main() -> None:
    """Has a shop open until the pictures are taken."""
    shop = Shop()
    routes = [Mount("/breakers", app=Dashboard(shop.registry, control_token=TOKEN))]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(Starlette(routes=routes), lifespan="off", log_level="error")
        async with anyio.create_task_group() as group:
            group.start_soon(uvicorn.Server(config).serve, [listener])
            group.start_soon(shop.run)
            await take_pictures(listener.getsockname()[1])
            group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
