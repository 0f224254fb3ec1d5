"""Writes diagrams into the documentation: the state machine from its transition table, the layers from pyproject.toml.

`python docs/diagram.py` writes; `python docs/diagram.py --check` fails if what is written differs from the code.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from recloser._core.states import TRANSITIONS, CircuitState, Trigger

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parent

ON = {
    Trigger.TRIPPED: "a trip rule is met",
    Trigger.WAIT_ELAPSED: "a call arrives after the reset timeout",
    Trigger.PROBES_PASSED: "enough probes succeeded",
    Trigger.PROBE_FAILED: "a probe failed",
    Trigger.PROBE_TIMED_OUT: "a probe took too long",
    Trigger.FORCED_OPEN: "force_open()",
    Trigger.DISABLED: "disable()",
    Trigger.RESET: "reset()",
    Trigger.FLEET_OPENED: "the fleet opened",
    Trigger.FLEET_PROBING: "another process runs the probe",
    Trigger.FLEET_CLOSED: "the fleet closed",
}
BY_HAND = (Trigger.FORCED_OPEN, Trigger.DISABLED, Trigger.RESET)


def diagram() -> str:
    """Return the diagram in Mermaid's language; what a person may do in any state is drawn once, below."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {CircuitState.CLOSED}"]
    for old, row in TRANSITIONS.items():
        for trigger, new in row.items():
            if trigger not in BY_HAND:
                lines.append(f"    {old} --> {new}: {ON[trigger]}")
    lines.append('    state "any state" as any_state')
    lines += [f"    any_state --> {TRANSITIONS[CircuitState.CLOSED][trigger]}: {ON[trigger]}" for trigger in BY_HAND]
    return "\n".join([*lines, "```"])


def table() -> str:
    """Return every row of the transition table."""
    lines = ["| from | on | to |", "|---|---|---|"]
    for old, row in TRANSITIONS.items():
        lines += [f"| {old} | {ON[trigger]} | {new} |" for trigger, new in row.items()]
    return "\n".join(lines)


def state_machine() -> str:
    """Return the diagram and the table of the state machine."""
    return f"{diagram()}\n\n{table()}"


def layers() -> str:
    """Return the layers that import-linter enforces, in Mermaid's language."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    (layered,) = (c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    rows = [f'    layer{number}["{row}"]' for number, row in enumerate(layered["layers"])]
    arrows = " --> ".join(f"layer{number}" for number in range(len(rows)))
    return "\n".join(["```mermaid", "flowchart TD", *rows, f"    {arrows}", "```"])


PARTS: list[tuple[str, str, Callable[[], str]]] = [
    ("state-machine.md", "the transition table", state_machine),
    ("architecture.md", "the layers in pyproject.toml", layers),
]
"""Each generated part: its page, what it is generated from, and what makes it."""


def with_part(text: str, source: str, part: str) -> str:
    """Return a page with its generated part made anew."""
    begin, end = f"<!-- generated from {source}: begin -->", f"<!-- generated from {source}: end -->"
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"


def main() -> int:
    """Write the pages, or with `--check` compare them."""
    outdated = 0
    for name, source, make in PARTS:
        page = DOCS / name
        written = page.read_text(encoding="utf-8")
        made = with_part(written, source, make())
        if "--check" not in sys.argv[1:]:
            page.write_text(made, encoding="utf-8")
        elif made != written:
            print(f"{name} differs from {source}: run `python docs/diagram.py`")
            outdated += 1
    return int(outdated > 0)


if __name__ == "__main__":
    sys.exit(main())
