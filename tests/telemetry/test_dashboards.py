"""The Grafana dashboard and the alert rules: every metric and label that they name is in a real scrape."""

import json
import re
from pathlib import Path

import anyio
import pytest
import yaml

from recloser import CircuitBreaker, CountWindow, FailureRate, SlowCallRate
from recloser.telemetry.prometheus import BreakerCollector
from recloser.testing import ManualClock
from tests.telemetry.kit import fail, live, make, take
from tests.telemetry.scrapes import Scrape, scrape_over_http, served

DOCS = Path(__file__).parents[2] / "docs" / "telemetry"
DASHBOARD = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((DOCS / "alerts.yaml").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
EXPRESSIONS = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
    *(rule["expr"] for rule in RULES),
    *(variable["definition"] for variable in DASHBOARD["templating"]["list"] if "definition" in variable),
]
FROM_PROMETHEUS = {"instance", "job"}
"""Labels that Prometheus adds to every series."""

SELECTOR = re.compile(r"(circuit_breaker_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


@pytest.fixture(scope="module")
def told() -> Scrape:
    """A scrape of breakers that have done everything."""
    clock = ManualClock(1_000.0)
    window = CountWindow(10)
    rates = FailureRate(0.9, window=window, minimum_calls=2) | SlowCallRate(
        0.9, slow_call_seconds=1, window=window, minimum_calls=2
    )
    registry = make(clock, trip_when=rates, failure_threshold=None)
    collector = BreakerCollector(registry, max_breakers=3, durations=True)
    registry.add(CircuitBreaker("payments", failure_threshold=2, clock=clock))
    anyio.run(live, registry, "payments", clock)
    take(registry, "rates").succeed()
    fail(registry, "rates")
    for name in ("search", "mail"):
        take(registry, name).ignore()
    with served(collector) as address:
        return scrape_over_http(address)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_only_metrics_and_labels_that_there_are(told: Scrape, expression: str) -> None:
    by_metric: dict[str, set[str]] = {}
    for metric, labels in told.samples:
        by_metric.setdefault(metric, set()).update(label for label, _ in labels)
    selectors = SELECTOR.findall(expression)
    assert selectors
    for metric, matchers in selectors:
        assert metric in by_metric
        for label, values in MATCHER.findall(matchers):
            assert label in by_metric[metric]
            for value in values.split("|"):
                assert value.startswith("$") or value in told.labels(label)
    known = FROM_PROMETHEUS.union(*(by_metric[metric] for metric, _ in selectors))
    for labels in GROUPING.findall(expression):
        assert {label.strip() for label in labels.split(",")} <= known


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_is_balanced(expression: str) -> None:
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)


def test_every_panel_and_every_alert_says_what_it_is_about() -> None:
    assert all(panel["title"] and panel["description"] for panel in DASHBOARD["panels"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all({"summary", "description"} <= rule["annotations"].keys() for rule in RULES)
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_a_wrong_metric_or_label_would_be_noticed() -> None:
    assert SELECTOR.findall('rate(circuit_breaker_calls_total{nme="x"}[5m])') == [
        ("circuit_breaker_calls_total", 'nme="x"')
    ]
    assert GROUPING.findall("sum without (old, cause) (x)") == ["old, cause"]
