"""The Grafana dashboards and the alert rules: every metric and label that they name is in a real scrape.

There are two of each: for recloser's own metrics for Prometheus, and for those that come through OpenTelemetry.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.telemetry.scene import exported_scrape, prometheus_scrape
from tests.telemetry.scrapes import Scrape

DOCS = Path(__file__).parents[2] / "docs" / "telemetry"
WAYS = {"prometheus": "", "opentelemetry": "-opentelemetry"}
DASHBOARDS = {way: json.loads((DOCS / f"grafana{suffix}.json").read_text("utf-8")) for way, suffix in WAYS.items()}
RULES = {
    way: [
        rule
        for group in yaml.safe_load((DOCS / f"alerts{suffix}.yaml").read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]
    for way, suffix in WAYS.items()
}
FROM_PROMETHEUS = {"instance", "job"}
"""Labels that Prometheus adds to every series."""

METRIC = re.compile(r"\b(?:circuit_breaker|retry|bulkhead|rate_limit|hedge|fallback)_\w+")
SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
VARIABLE = re.compile(r"label_values\((\w+), (\w+)\)")
IN_TEXT = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)")


def expressions_of(way: str) -> Iterator[str]:
    dashboard = DASHBOARDS[way]
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (rule["expr"] for rule in RULES[way])
    yield from (variable["definition"] for variable in dashboard["templating"]["list"] if "definition" in variable)


def texts_of(way: str) -> Iterator[tuple[str, str]]:
    """Iterates over texts for people, with the expression that their labels come from."""
    for panel in DASHBOARDS[way]["panels"]:
        yield from ((target["expr"], target["legendFormat"]) for target in panel["targets"])
    for rule in RULES[way]:
        yield from ((rule["expr"], text) for text in rule["annotations"].values())


EXPRESSIONS = [(way, expression) for way in WAYS for expression in expressions_of(way)]
TEXTS = [(way, *text) for way in WAYS for text in texts_of(way)]


def metrics_in(expression: str) -> list[str]:
    """Returns the metrics that an expression names; their labels can look like metrics."""
    return METRIC.findall(VARIABLE.sub(r"\1", GROUPING.sub("", SELECTOR.sub(r"\1", expression))))


def labels_in(expression: str) -> set[str]:
    """Returns the labels that an expression groups by, or asks for."""
    named = {label.strip() for labels in GROUPING.findall(expression) for label in labels.split(",")}
    return named | {label for _, label in VARIABLE.findall(expression)}


@pytest.fixture(scope="module")
def told() -> dict[str, Scrape]:
    """What each way tells of breakers that have done everything."""
    return {"prometheus": prometheus_scrape(), "opentelemetry": exported_scrape()}


@pytest.fixture(scope="module")
def labels_of(told: dict[str, Scrape]) -> dict[str, dict[str, set[str]]]:
    """The labels of each metric."""
    found: dict[str, dict[str, set[str]]] = {way: {} for way in WAYS}
    for way, scrape in told.items():
        for metric, labels in scrape.samples:
            found[way].setdefault(metric, set()).update(label for label, _ in labels)
    return found


@pytest.mark.parametrize(("way", "expression"), EXPRESSIONS)
def test_an_expression_names_only_metrics_and_labels_that_there_are(
    told: dict[str, Scrape], labels_of: dict[str, dict[str, set[str]]], way: str, expression: str
) -> None:
    metrics = metrics_in(expression)
    assert metrics
    assert set(metrics) <= labels_of[way].keys()
    for metric, matchers in SELECTOR.findall(expression):
        for label, values in MATCHER.findall(matchers):
            assert label in labels_of[way][metric]
            for value in values.split("|"):
                assert value.startswith("$") or value in told[way].labels(label)
    assert labels_in(expression) <= FROM_PROMETHEUS.union(*(labels_of[way][metric] for metric in metrics))


@pytest.mark.parametrize(("way", "expression", "text"), TEXTS)
def test_a_text_names_only_labels_that_there_are(
    labels_of: dict[str, dict[str, set[str]]], way: str, expression: str, text: str
) -> None:
    assert set(IN_TEXT.findall(text)) <= set().union(*(labels_of[way][metric] for metric in metrics_in(expression)))


def test_both_ways_show_the_same() -> None:
    assert len({len(list(expressions_of(way))) for way in WAYS}) == 1
    assert len({tuple(panel["title"] for panel in dashboard["panels"]) for dashboard in DASHBOARDS.values()}) == 1
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(WAYS)


@pytest.mark.parametrize(("way", "expression"), EXPRESSIONS)
def test_an_expression_is_balanced(way: str, expression: str) -> None:  # noqa: ARG001 - shows which file it is in
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)


@pytest.mark.parametrize("way", WAYS)
def test_every_panel_and_every_alert_says_what_it_is_about(way: str) -> None:
    panels: list[dict[str, Any]] = DASHBOARDS[way]["panels"]
    assert all(panel["title"] and panel["description"] for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all({"summary", "description"} <= rule["annotations"].keys() for rule in RULES[way])
    assert len({rule["alert"] for rule in RULES[way]}) == len(RULES[way])


@pytest.mark.parametrize("way", WAYS)
def test_only_leaked_permits_of_a_breaker_in_shadow_mode_raise_an_alert(way: str) -> None:
    raising = {rule["alert"] for rule in RULES[way] if "circuit_breaker_shadow == 1" not in rule["expr"]}
    assert raising == {"CircuitBreakerRejectsMany", "CircuitBreakerLeaksPermits"}  # it rejects nothing


def test_a_wrong_metric_or_label_would_be_noticed() -> None:
    expression = 'sum by (circuit_breaker_nme) (rate(circuit_breaker_cals_total{circuit_breaker_name="x"}[5m]))'
    assert metrics_in(expression) == ["circuit_breaker_cals_total"]
    assert labels_in(expression) == {"circuit_breaker_nme"}
    assert metrics_in("label_values(circuit_breaker_calls_total, nme)") == ["circuit_breaker_calls_total"]
    assert labels_in("label_values(circuit_breaker_calls_total, nme)") == {"nme"}
