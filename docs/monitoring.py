"""Derives the Grafana dashboard and the alerts for metrics that come through OpenTelemetry.

`python docs/monitoring.py` writes `telemetry/*-opentelemetry.*`; with `--check` it fails if they are not up to date.
Both ways, the metrics have the same names. The labels differ: OpenTelemetry's exporters turn the attribute
`circuit_breaker.name` into `circuit_breaker_name`, which is `name` in recloser's own metrics for Prometheus.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

TELEMETRY = Path(__file__).resolve().parent / "telemetry"
LABELS = {
    "circuit_breaker": ("name", "state", "outcome", "old_state", "new_state", "cause"),
    "retry": ("name", "outcome"),
    "bulkhead": ("name",),
    "rate_limit": ("name",),
    "hedge": ("name",),
    "fallback": ("name", "source"),
}
"""The labels by the subject of the metrics, which is the first part of their names."""
QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")')
TEMPLATE = re.compile(r"(\{\{\s*(?:\$labels\.)?)(\w+)")
"""A label in a text for people: `{{name}}` in Grafana, `{{ $labels.name }}` in an alert."""
METRIC = re.compile(rf"\b({'|'.join(LABELS)})_\w+")


def main() -> int:
    """Write the derived files, or check them."""
    derived = {
        TELEMETRY / "grafana-opentelemetry.json": dashboard((TELEMETRY / "grafana.json").read_text(encoding="utf-8")),
        TELEMETRY / "alerts-opentelemetry.yaml": alerts((TELEMETRY / "alerts.yaml").read_text(encoding="utf-8")),
    }
    if "--check" in sys.argv[1:]:
        stale = [path.name for path, text in derived.items() if not path.exists() or path.read_text("utf-8") != text]
        print(*(f"{name} is out of date: run python docs/monitoring.py" for name in stale), sep="\n")
        return int(bool(stale))
    for path, text in derived.items():
        path.write_text(text, encoding="utf-8")
    return 0


def dashboard(text: str) -> str:
    """Return the dashboard with the other labels."""
    data = renamed(json.loads(text))
    data |= {"title": "Circuit breakers (recloser, through OpenTelemetry)", "uid": f"{data['uid']}-opentelemetry"}
    return json.dumps(data, indent=2) + "\n"


def renamed(value: Any) -> Any:  # noqa: ANN401 - any value of JSON
    """Return a part of the dashboard with the other labels."""
    if isinstance(value, list):
        return [renamed(part) for part in value]
    if not isinstance(value, dict):
        return value
    subject = subject_of(f"{value.get('expr') or value.get('definition') or value.get('query')}")
    parts = {key: renamed(part) for key, part in value.items()}
    if subject:
        parts |= {key: query(value[key], subject) for key in ("expr", "definition", "query") if is_text(value, key)}
        parts |= {key: template(value[key], subject) for key in ("legendFormat",) if key in value}
    elif "byField" in value:
        parts["byField"] = f"circuit_breaker_{value['byField']}"
    return parts


def is_text(value: dict[str, Any], key: str) -> bool:
    """Return whether a key has a text."""
    return isinstance(value.get(key), str)


def subject_of(expression: str) -> str:
    """Return what the metrics of an expression are about; nothing if it names none."""
    found = METRIC.search(QUOTED.sub("", expression))
    return found[1] if found else ""


def alerts(text: str) -> str:
    """Return the rules, which are all about breakers, with the other labels; comments and layout stay."""
    lines, depth = [], -1
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("expr:"):
            depth = indent
            head, colon, rest = line.partition(":")
            lines.append(head + colon + query(rest, "circuit_breaker"))
        elif depth >= 0 and indent > depth:
            lines.append(query(line, "circuit_breaker"))
        else:
            depth = -1
            lines.append(template(line, "circuit_breaker"))
    return "\n".join(lines).replace("[alerts.yaml]", "[alerts-opentelemetry.yaml]") + "\n"


def query(text: str, subject: str) -> str:
    """Return a query with the other labels."""
    label = re.compile(rf"(?<![\w$])({'|'.join(LABELS[subject])})(?!\w)")
    parts = QUOTED.split(text)
    parts[::2] = [label.sub(rf"{subject}_\1", part) for part in parts[::2]]
    return "".join(parts)


def template(text: str, subject: str) -> str:
    """Return a text for people with the other labels in its templates."""
    return TEMPLATE.sub(
        lambda match: match[1] + (f"{subject}_{match[2]}" if match[2] in LABELS[subject] else match[2]), text
    )


if __name__ == "__main__":
    sys.exit(main())
