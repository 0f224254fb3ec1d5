"""Writes diagrams into the documentation: state machines from their tables, the layers from pyproject.toml.

`python docs/diagram.py` writes; `python docs/diagram.py --check` fails if what is written differs from the code.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recloser._core.states import TRANSITIONS, CircuitState, Trigger
from recloser.fleet._states import AUTHORITY, LEASE, RECORD, MembershipState, MembershipTrigger
from recloser.fleet._states import TRANSITIONS as MEMBERSHIP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from enum import StrEnum

    Row = tuple[StrEnum, StrEnum, StrEnum]

DOCS = Path(__file__).parent

ON = {
    Trigger.TRIPPED: "a trip rule is met",
    Trigger.WAIT_ELAPSED: "a call arrives after the reset timeout",
    Trigger.PROBES_PASSED: "enough probes succeeded",
    Trigger.PROBE_FAILED: "a probe failed",
    Trigger.PROBE_TIMED_OUT: "a probe took too long",
    Trigger.PROBE_PASSED_LATE: "a probe that took too long succeeded after all",
    Trigger.FORCED_OPEN: "force_open()",
    Trigger.DISABLED: "disable()",
    Trigger.DISABLE_ENDED: "a call arrives after the time of disable()",
    Trigger.RESET: "reset()",
    Trigger.FLEET_OPENED: "the fleet opened",
    Trigger.FLEET_PROBING: "another process runs the probe",
    Trigger.FLEET_CLOSED: "the fleet closed",
}
BY_HAND = (Trigger.FORCED_OPEN, Trigger.DISABLED, Trigger.RESET)

IN_FLEET = {
    MembershipTrigger.OVERRIDE: "force_open() or disable() of this breaker alone",
    MembershipTrigger.RESET: "reset() of this breaker alone",
    MembershipTrigger.REALIGNED: "the breaker went where the fleet is",
    MembershipTrigger.UNUSABLE: "the store's record is of another version",
    MembershipTrigger.USABLE: "the store's record can be used",
    MembershipTrigger.ASKED: "a caller needs the lease",
    MembershipTrigger.SENT: "the request is sent",
    MembershipTrigger.GAVE_UP: "the caller gives up",
    MembershipTrigger.PROOF_SENT: "a request is sent after the breaker closed alone",
    MembershipTrigger.ACQUIRED: "the store grants the lease",
    MembershipTrigger.REFUSED: "the store refuses the lease",
    MembershipTrigger.UNREACHABLE: "the store is unreachable",
    MembershipTrigger.ENDED: "the probe ended",
    MembershipTrigger.FENCED: "the fleet went on without this probe",
}


def rows(transitions: Mapping[Any, Mapping[Any, Any]], states: Iterable[StrEnum]) -> list[Row]:
    """Return the rows of a table that begin in the given states."""
    return [(old, trigger, new) for old in states for trigger, new in transitions[old].items()]


def diagram(initial: StrEnum, drawn: Sequence[Row], on: Mapping[Any, str], further: Sequence[str] = ()) -> str:
    """Return a diagram in Mermaid's language."""
    lines = [f"    {old} --> {new}: {on[trigger]}" for old, trigger, new in drawn]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {initial}", *lines, *further, "```"])


def table(drawn: Sequence[Row], on: Mapping[Any, str]) -> str:
    """Return rows of a transition table."""
    lines = [f"| {old} | {on[trigger]} | {new} |" for old, trigger, new in drawn]
    return "\n".join(["| from | on | to |", "|---|---|---|", *lines])


def state_machine() -> str:
    """Return the diagram and the table of a breaker; what a person may do in any state is drawn once, below."""
    all_rows = rows(TRANSITIONS, CircuitState)
    drawn = [row for row in all_rows if row[1] not in BY_HAND]
    lines = ['    state "any state" as any_state']
    lines += [f"    any_state --> {TRANSITIONS[CircuitState.CLOSED][trigger]}: {ON[trigger]}" for trigger in BY_HAND]
    return f"{diagram(CircuitState.CLOSED, drawn, ON, lines)}\n\n{table(all_rows, ON)}"


def membership() -> str:
    """Return a diagram of each region of a membership in a fleet, and the table of all."""
    titles = {"Whom the breaker follows": AUTHORITY, "The store's record": RECORD, "The lease of a probe": LEASE}
    regions = [f"{title}:\n\n{diagram(of[0], rows(MEMBERSHIP, of), IN_FLEET)}" for title, of in titles.items()]
    return "\n\n".join([*regions, table(rows(MEMBERSHIP, MembershipState), IN_FLEET)])


def layers() -> str:
    """Return the layers that import-linter enforces, in Mermaid's language."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    (layered,) = (c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    boxes = [f'    layer{number}["{row}"]' for number, row in enumerate(layered["layers"])]
    arrows = " --> ".join(f"layer{number}" for number in range(len(boxes)))
    return "\n".join(["```mermaid", "flowchart TD", *boxes, f"    {arrows}", "```"])


PARTS: list[tuple[str, str, Callable[[], str]]] = [
    ("state-machine.md", "the transition table", state_machine),
    ("reference/fleet.md", "the table of memberships", membership),
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
