"""The load: what each caller does."""

from functools import partial
from random import Random

import anyio
import httpx

from recloser.cli.demo.lane import Lane, Order
from recloser.cli.demo.plan import Plan

__all__ = ["drive"]


async def drive(lane: Lane, client: httpx.AsyncClient, plan: Plan, random: Random, stop: anyio.Event) -> None:
    """Run a lane's callers until `stop` is set; running calls then end by themselves.

    Args:
        lane: The lane that makes and records the calls.
        client: A client with the upstream as its base URL.
        plan: Contains how many callers there are, how long each of them pauses between two calls, and how many orders
            there are.
        random: Draws the pauses and the orders.
        stop: Ends the load.
    """
    fetch = partial(_fetch, client, lane)

    async def caller() -> None:
        while True:
            with anyio.move_on_after(random.uniform(0, 2 * plan.pause_seconds)):
                await stop.wait()
                return
            await lane.attempt(fetch, random.randint(1, plan.orders))

    async with anyio.create_task_group() as group:
        for _ in range(plan.callers):
            group.start_soon(caller)


async def _fetch(client: httpx.AsyncClient, lane: Lane, number: int) -> Order:
    response = await client.get(f"/{lane.name}/orders/{number}", headers=lane.headers)
    response.raise_for_status()
    order: Order = response.json()
    return order
