"""Draws images/trace.svg and images/log.svg: one outage of some seconds, as OpenTelemetry and as the log have it.

`python -m docs.pictures.outage`
"""

# pyright: reportUnknownMemberType=false
# Many of matplotlib's methods have keyword arguments without types.

import logging
from contextlib import suppress
from pathlib import Path

import anyio
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode
from rich.console import Console

from docs.pictures.terminal import write_terminal
from recloser import BreakerRegistry, CircuitBreakerOpenError
from recloser.cli.demo.palette import GREEN, INK, LETTERS, ORANGE, VERMILION
from recloser.telemetry.logging import LogListener
from recloser.telemetry.opentelemetry import instrument

IMAGES = Path(__file__).parents[1] / "images"
REQUESTS, PAUSE_SECONDS, WORK_SECONDS = 26, 0.12, 0.09
DOWN = range(5, 17)


class DownError(Exception):
    """What the dependency raises while it is down."""


async def outage(registry: BreakerRegistry) -> list[ReadableSpan]:
    """Let requests come at a constant pace while what they need fails and recovers; return their spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("shop")
    payments = registry.breaker("payments")

    async def charge(number: int) -> None:
        await anyio.sleep(WORK_SECONDS)
        if number in DOWN:
            raise DownError("503 Service Unavailable")

    async def request(number: int) -> None:
        with tracer.start_as_current_span(f"POST /orders/{number}", record_exception=False) as span:
            try:
                await payments.call(charge, number)
            except (DownError, CircuitBreakerOpenError) as error:
                span.set_status(Status(StatusCode.ERROR, str(error)))

    with instrument(registry, rejection_span_events=True):
        async with anyio.create_task_group() as group:
            for number in range(REQUESTS):
                group.start_soon(request, number)
                await anyio.sleep(PAUSE_SECONDS)
    provider.shutdown()
    return sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)


def draw_trace(spans: list[ReadableSpan]) -> None:
    """Draw each span as a bar, and the breaker's events on it."""
    start = spans[0].start_time or 0
    with style.context(["default", LETTERS]):
        figure = Figure(figsize=(10, 6.2))
        axes = figure.subplots(gridspec_kw={"left": 0.13, "right": 0.98, "top": 0.93, "bottom": 0.08})
        for row, span in enumerate(spans):
            began, ended = ((at or 0) - start for at in (span.start_time, span.end_time))
            color = GREEN if span.status.is_ok or span.status.status_code is StatusCode.UNSET else VERMILION
            axes.barh(row, max(ended - began, 4e6) / 1e9, left=began / 1e9, height=0.7, color=color)
            draw_events(axes, row, span, start)
        axes.set_yticks(range(len(spans)), [span.name for span in spans], size=8)
        axes.invert_yaxis()
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("seconds")
        title = "Spans of requests; events \N{LOZENGE} circuit_breaker.transition, x circuit_breaker.rejected"
        axes.set_title(title, loc="left", size=10.5, weight="bold")
        figure.savefig(IMAGES / "trace.svg", metadata={"Date": None})


def draw_events(axes: Axes, row: int, span: ReadableSpan, start: int) -> None:
    """Draw a span's events; its transitions are named together, where the last of them is."""
    states: list[str] = []
    at = 0.0
    for event in span.events:
        at = (event.timestamp - start) / 1e9
        if event.name == "circuit_breaker.rejected":
            axes.plot([at], [row], "x", color=INK, markersize=5)
            continue
        attributes = event.attributes or {}
        states = states or [str(attributes["circuit_breaker.old_state"])]
        states.append(str(attributes["circuit_breaker.new_state"]))
        axes.plot([at], [row], "D", color=ORANGE, markersize=6, markeredgecolor=INK, markeredgewidth=0.7)
    said = " \N{RIGHTWARDS ARROW} ".join(state.replace("_", "-") for state in states)
    axes.annotate(said, (at, row), (8, -3), textcoords="offset points", color=INK, weight="bold")


class Lines(logging.Handler):
    """Keeps what is logged, as it would be printed."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []
        self.setFormatter(
            logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, and how it looks."""
        style = {"ERROR": "red", "WARNING": "yellow"}.get(record.levelname, "")
        self.lines.append((self.format(record), style))


def draw_log(lines: list[tuple[str, str]]) -> None:
    """Draw lines as a terminal shows them."""

    def show(console: Console) -> None:
        for text, look in lines:
            console.print(text, style=look, markup=False, highlight=False)
        console.print()  # the picture cuts off what is below the last line's letters

    write_terminal(IMAGES / "log.svg", 118, "the log of an outage", show)


async def main() -> None:
    """Play the outage, and draw it twice."""
    registry = BreakerRegistry(failure_threshold=4, reset_timeout_seconds=0.5)
    handler = Lines()
    logger = logging.getLogger("recloser")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    listener = LogListener(rejections_every_seconds=10)
    registry.subscribe(listener, kinds=listener.kinds)
    draw_trace(await outage(registry))
    draw_log(handler.lines)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        anyio.run(main)
