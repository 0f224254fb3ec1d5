"""Writes the state machine's diagram and table into the documentation, from the table that the machine runs on.

`python docs/diagram.py` writes; `python docs/diagram.py --check` fails if what is written differs from the code.
"""

from __future__ import annotations

import sys
from pathlib import Path

from recloser._core.states import TRANSITIONS, CircuitState, Trigger

PAGE = Path(__file__).parent / "state-machine.md"
BEGIN, END = "<!-- generated from the transition table: begin -->", "<!-- generated from the transition table: end -->"

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


def page(text: str) -> str:
    """Return the page with its generated part made anew."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{diagram()}\n\n{table()}\n\n{END}{after}"


def main() -> int:
    """Write the page, or with `--check` compare it."""
    written = PAGE.read_text(encoding="utf-8")
    made = page(written)
    if "--check" in sys.argv[1:]:
        if made != written:
            print(f"{PAGE.name} differs from the transition table: run `python docs/diagram.py`")
            return 1
        return 0
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
