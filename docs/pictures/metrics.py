"""Draws images/metrics.svg: what a Prometheus has recorded of the service that `python -m demos.dashboard` runs.

`python -m docs.pictures.metrics` needs `prometheus` on the path (Debian: apt install prometheus) and takes two minutes.
It also asks that server every query of the Grafana dashboard, and says which of them are refused or find nothing.
"""

# pyright: reportUnknownMemberType=false
# Many of matplotlib's methods have keyword arguments without types.

import json
import logging
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from prometheus_client import CollectorRegistry, start_http_server

from demos.dashboard.plan import dependencies
from demos.dashboard.service import serve
from recloser import BreakerRegistry
from recloser.cli.demo.palette import GREEN, PLOT, STATES, VERMILION
from recloser.telemetry.prometheus import BreakerCollector

DOCS = Path(__file__).parents[1]
PICTURE = DOCS / "images" / "metrics.svg"
SECONDS = 90.0
CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs: [{{job_name: shop, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""
OUTCOMES = {"success": GREEN, "failure": VERMILION}


async def run_service() -> None:
    """Have the service fall ill and recover, while it is scraped."""
    registry = BreakerRegistry()
    metrics = CollectorRegistry()
    metrics.register(BreakerCollector(registry, durations=True))
    server, _ = start_http_server(0, addr="127.0.0.1", registry=metrics)
    guarded = [
        (each, each.protect(registry, each.name, each.reset_timeout_seconds)) for each in dependencies(fast=False)
    ]
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        config = Path(directory) / "prometheus.yml"
        config.write_text(CONFIG.format(rules=DOCS / "telemetry" / "alerts.yaml", port=server.server_port))
        with prometheus(config, directory, port):
            with anyio.move_on_after(SECONDS):
                await serve(guarded, Random(1))
            await conclude(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1/"))


@contextmanager
def prometheus(config: Path, directory: str, port: int) -> Generator[None]:
    """Run a Prometheus during a block."""
    program = shutil.which("prometheus")
    if program is None:
        raise SystemExit("there is no prometheus on the path")
    options = [f"--config.file={config}", f"--storage.tsdb.path={directory}", f"--web.listen-address=127.0.0.1:{port}"]
    with subprocess.Popen([program, *options], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def free_port() -> int:
    """Return a TCP port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def conclude(client: httpx.AsyncClient) -> None:
    """Ask everything that the Grafana dashboard asks, and draw."""
    async with client:
        dashboard = json.loads((DOCS / "telemetry" / "grafana.json").read_text(encoding="utf-8"))
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                query = target["expr"].replace("$__rate_interval", "30s").replace("$name", ".*")
                answer = (await client.get("query", params={"query": query})).json()
                found = len(answer["data"]["result"]) if answer["status"] == "success" else answer["error"]
                print(f"{panel['title']}: {found} series")
        rules = (await client.get("rules")).json()["data"]["groups"][0]["rules"]
        print(f"{len(rules)} alert rules, health: {sorted({rule['health'] for rule in rules})}")
        draw(
            await ranged(client, "circuit_breaker_state == 1"),
            await ranged(client, "sum by (outcome) (rate(circuit_breaker_calls_total[5s]))"),
            await ranged(client, "sum by (name) (rate(circuit_breaker_rejections_total[5s]))"),
        )


async def ranged(client: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    """Return what a query finds at each second of the run."""
    end = time.time()
    params: dict[str, str | float] = {"query": query, "start": end - SECONDS + 5, "end": end, "step": 0.5}
    answer = (await client.get("query_range", params=params)).json()
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def draw(states: list[dict[str, Any]], calls: list[dict[str, Any]], rejections: list[dict[str, Any]]) -> None:
    """Draw three panels over one axis of time."""
    start = min(float(at) for series in states for at, _ in series["values"])
    with style.context(["default", PLOT]):
        figure = Figure(figsize=(10, 6.4))
        grid = {"height_ratios": (1.2, 2, 2), "hspace": 0.4, "left": 0.13, "right": 0.97, "top": 0.94, "bottom": 0.08}
        timeline, outcomes, rejected = figure.subplots(3, sharex=True, gridspec_kw=grid)
        draw_states(timeline, states, start)
        for series in calls:
            outcome = series["metric"]["outcome"]
            if outcome in OUTCOMES:
                plot(outcomes, series, start, OUTCOMES[outcome], outcome)
        outcomes.set_title("Calls per second, by outcome")
        for series, color in zip(rejections, ("#0072b2", "#cc79a7", "#e69f00", "#56b4e9"), strict=False):
            if any(float(value) > 0 for _, value in series["values"]):
                plot(rejected, series, start, color, series["metric"]["name"])
        for axes in (outcomes, rejected):
            axes.set_ylim(bottom=0)
        rejected.set_title("Rejected calls per second, by breaker")
        rejected.set_xlabel("seconds")
        rejected.set_xlim(0, SECONDS - 5)
        figure.savefig(PICTURE, metadata={"Date": None})


def draw_states(axes: Axes, states: list[dict[str, Any]], start: float) -> None:
    """Draw a band for each breaker, in the colour of its state at each moment."""
    names = sorted({series["metric"]["name"] for series in states}, reverse=True)
    for series in states:
        metric = series["metric"]
        spans = [(float(at) - start, 0.55) for at, _ in series["values"]]
        axes.broken_barh(spans, (names.index(metric["name"]) - 0.38, 0.76), color=STATES[metric["state"]][0])
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("State: closed (green), open (grey), half-open (orange)")


def plot(axes: Axes, series: dict[str, Any], start: float, color: str, label: str) -> None:
    """Draw one series, with its name in the legend."""
    points = [(float(at) - start, float(value)) for at, value in series["values"]]
    axes.plot(*zip(*points, strict=True), color=color, label=label, linewidth=1.6)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), frameon=False, ncols=4)


if __name__ == "__main__":
    logging.getLogger("recloser").addHandler(logging.NullHandler())
    with suppress(KeyboardInterrupt):
        anyio.run(run_service)
