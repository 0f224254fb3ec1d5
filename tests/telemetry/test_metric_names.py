"""One set of metrics, in the names of both exporters: each has one unit, and the suffix that belongs to it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from opentelemetry.sdk.metrics.export import Gauge, Histogram, Sum
from prometheus_client import CollectorRegistry

from tests.telemetry.scene import exported_scrape, instrumented, opentelemetry_metrics, prometheus_scrape
from tests.telemetry.scrapes import Scrape, scrape_registry

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


class Row(NamedTuple):
    """A metric in both names.

    Attributes:
        subject: What both names begin with.
        opentelemetry: The rest of its name in OpenTelemetry.
        kind: Its kind there.
        unit: Its unit there.
        prometheus: The rest of its name in Prometheus; without the suffixes of a histogram.
        labels: Its labels, without those that only OpenTelemetry has.
    """

    subject: str
    opentelemetry: str
    kind: str
    unit: str
    prometheus: str
    labels: str

    @property
    def type(self) -> str:
        """The type in Prometheus."""
        return {"sum": "gauge"}.get(self.kind, self.kind)

    @property
    def samples(self) -> set[str]:
        """The names of the series in Prometheus."""
        suffixes = ("_bucket", "_count", "_sum") if self.kind == "histogram" else ("",)
        return {f"{self.subject}_{self.prometheus}{suffix}" for suffix in suffixes}

    @property
    def attributes(self) -> frozenset[str]:
        """The names of the attributes in OpenTelemetry."""
        labels = {f"{self.subject}.{label}" for label in self.labels.split()}
        return frozenset(labels | ({"error.type"} if self.kind == "histogram" else set()))


TABLE = [
    Row(*line.split(maxsplit=5))
    for line in """
circuit_breaker calls                     counter   {call}       calls_total                       name outcome
circuit_breaker rejections                counter   {rejection}  rejections_total                  name
circuit_breaker shadow                    sum       {breaker}    shadow                            name
circuit_breaker shadow_rejections         counter   {rejection}  shadow_rejections_total           name
circuit_breaker shadow_calls              counter   {call}       shadow_calls_total                name outcome
circuit_breaker probes                    counter   {probe}      probes_total                      name
circuit_breaker probes_in_flight          sum       {probe}      probes_in_flight                  name
circuit_breaker state                     sum       {breaker}    state                             name state
circuit_breaker transitions counter {transition} transitions_total name old_state new_state cause
circuit_breaker last_transition_timestamp gauge     s            last_transition_timestamp_seconds name
circuit_breaker outage_start_timestamp    gauge     s            outage_start_timestamp_seconds    name
circuit_breaker retry_after               gauge     s            retry_after_seconds               name
circuit_breaker counted_failures          gauge     {failure}    counted_failures                  name
circuit_breaker failure_threshold         gauge     {failure}    failure_threshold                 name
circuit_breaker failure_ratio             gauge     1            failure_ratio                     name
circuit_breaker slow_call_ratio           gauge     1            slow_call_ratio                   name
circuit_breaker call.duration             histogram s            call_duration_seconds             name outcome
retry           calls                     counter   {call}       calls_total                       name outcome
retry           retries                   counter   {retry}      retries_total                     name
bulkhead        calls_running             sum       {call}       calls_running                     name
bulkhead        calls_waiting             sum       {call}       calls_waiting                     name
bulkhead        max_concurrent            sum       {call}       max_concurrent                    name
bulkhead        max_queue                 sum       {call}       max_queue                         name
bulkhead        admissions                counter   {admission}  admissions_total                  name
bulkhead        rejections                counter   {rejection}  rejections_total                  name
rate_limit      admissions                counter   {admission}  admissions_total                  name
rate_limit      delays                    counter   {delay}      delays_total                      name
rate_limit      rejections                counter   {rejection}  rejections_total                  name
hedge           calls                     counter   {call}       calls_total                       name
hedge           hedges                    counter   {hedge}      hedges_total                      name
hedge           wins                      counter   {win}        wins_total                        name
hedge           failures                  counter   {failure}    failures_total                    name
fallback        answers                   counter   {answer}     answers_total                     name source
fallback        errors                    counter   {error}      errors_total                      name source
fallback        exhaustions               counter   {exhaustion} exhaustions_total                 name
""".strip().splitlines()
]
# Words that belong to another unit, or that a type or a suffix says already.
WRONG_WORDS = {"ms", "milliseconds", "minutes", "hours", "percent", "rate", "counter", "gauge", "histogram"}
RESERVED_LABELS = {"le", "quantile", "job", "instance"}


@pytest.fixture(scope="module")
def told() -> Scrape:
    return prometheus_scrape(openmetrics=True)


@pytest.fixture(scope="module")
def collected() -> Mapping[str, object]:
    return opentelemetry_metrics()


def kind_of(data: object) -> str:
    if isinstance(data, Sum):
        return "counter" if data.is_monotonic else "sum"
    return {Gauge: "gauge", Histogram: "histogram"}[type(data)]


def test_opentelemetry_has_the_metrics_of_the_table(collected: Mapping[str, object]) -> None:
    found = {
        (
            name,
            kind_of(metric.data),
            metric.unit,
            frozenset(key for point in metric.data.data_points for key in point.attributes),
        )
        for name, metric in collected.items()
    }
    assert found == {(f"{row.subject}.{row.opentelemetry}", row.kind, row.unit, row.attributes) for row in TABLE}


def test_prometheus_has_the_metrics_of_the_table(told: Scrape) -> None:
    found = {
        (sample.name, family.type, frozenset(sample.labels) - {"le"})
        for family in told.families
        for sample in family.samples
    }
    assert found == {(name, row.type, frozenset(row.labels.split())) for row in TABLE for name in row.samples}


def test_through_opentelemetrys_exporter_only_the_labels_differ(told: Scrape) -> None:
    direct, exported = ({name for name, _ in scrape.samples} for scrape in (told, exported_scrape()))
    assert exported == direct


def test_the_exporter_names_the_series_as_its_specification_says() -> None:
    exporter = pytest.importorskip("opentelemetry.exporter.prometheus")
    registry = CollectorRegistry()
    with instrumented(exporter.PrometheusMetricReader(disable_target_info=True, registry=registry)):
        real = scrape_registry(registry)
    shapes = [
        {(name, frozenset(key for key, _ in labels if not key.startswith("otel_"))) for name, labels in scrape.samples}
        for scrape in (real, exported_scrape())
    ]
    assert shapes[0] == shapes[1]


# What `promtool check metrics` looks at, and the naming rules of prometheus.io/docs/practices/naming


def test_names_and_units_follow_the_conventions_of_prometheus(told: Scrape) -> None:
    for family in told.families:
        words = family.name.split("_")
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name)
        assert re.fullmatch(r"\S.*[^.]\.", family.documentation), "one sentence describes each metric"
        if family.type == "counter":
            assert {sample.name for sample in family.samples} == {f"{family.name}_total"}
        else:
            assert family.type in {"gauge", "histogram"}
            assert words[-1] not in {"total", "count", "sum", "bucket", "info"}
        assert not WRONG_WORDS.intersection(words[1:])
        assert [unit for unit in ("seconds", "ratio") if unit in words] == [family.unit] * bool(family.unit)
        assert not family.unit or words[-1] == family.unit
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels & RESERVED_LABELS == ({"le"} if family.type == "histogram" else set())


def test_names_and_units_follow_the_conventions_of_opentelemetry(collected: Mapping[str, object]) -> None:
    for name, metric in collected.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)+", name)
        assert not re.search(r"total|seconds", name), "the unit and the kind are not in the name"
        assert metric.unit in {"s", "1"} or re.fullmatch(r"\{[a-z]+\}", metric.unit)
        assert (metric.unit == "1") is name.endswith("_ratio")
        if kind_of(metric.data) == "counter":
            plural = re.sub("ry$", "rie", metric.unit.strip("{}")) + "s"
            assert re.search(rf"[._]{plural}$", name), "it counts what it is named after"


def rows_of(page: str) -> set[str]:
    """Returns the metrics in the tables of a page."""
    text = (HOW_TO / page).read_text(encoding="utf-8")
    firsts = re.findall(r"^\| (`[^|]+`) \|", text, flags=re.MULTILINE)
    return {name for first in firsts for name in re.findall(r"`(\w+[._]\w\S*)`", first)}


def test_the_pages_list_all_metrics() -> None:
    assert rows_of("prometheus.md") == {f"{row.subject}_{row.prometheus}" for row in TABLE}
    assert rows_of("opentelemetry.md") == {f"{row.subject}.{row.opentelemetry}" for row in TABLE}
