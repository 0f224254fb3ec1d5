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
LABELS = ("name", "state", "outcome", "old_state", "new_state", "cause")
SUBJECT = "circuit_breaker"
LABEL = re.compile(rf"(?<![\w$])({'|'.join(LABELS)})(?!\w)")
QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")')
TEMPLATE = re.compile(r"(\{\{\s*(?:\$labels\.)?)(\w+)")
"""A label in a text for people: `{{name}}` in Grafana, `{{ $labels.name }}` in an alert."""
QUERIES = {"expr", "definition", "query"}


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


def renamed(value: Any, key: str = "") -> Any:  # noqa: ANN401 - any value of JSON
    """Return a part of the dashboard with the other labels."""
    if isinstance(value, dict):
        return {name: renamed(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [renamed(part, key) for part in value]
    if not isinstance(value, str):
        return value
    if key in QUERIES and SUBJECT in value:
        return query(value)
    if key == "byField":
        return f"{SUBJECT}_{value}"
    return template(value) if key == "legendFormat" else value


def alerts(text: str) -> str:
    """Return the rules with the other labels; comments and layout stay."""
    lines, depth = [], -1
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("expr:"):
            depth = indent
            head, colon, rest = line.partition(":")
            lines.append(head + colon + query(rest))
        elif depth >= 0 and indent > depth:
            lines.append(query(line))
        else:
            depth = -1
            lines.append(template(line))
    return "\n".join(lines).replace("[alerts.yaml]", "[alerts-opentelemetry.yaml]") + "\n"


def query(text: str) -> str:
    """Return a query with the other labels."""
    parts = QUOTED.split(text)
    parts[::2] = [LABEL.sub(rf"{SUBJECT}_\1", part) for part in parts[::2]]
    return "".join(parts)


def template(text: str) -> str:
    """Return a text for people with the other labels in its templates."""
    return TEMPLATE.sub(lambda match: match[1] + (f"{SUBJECT}_{match[2]}" if match[2] in LABELS else match[2]), text)


if __name__ == "__main__":
    sys.exit(main())
