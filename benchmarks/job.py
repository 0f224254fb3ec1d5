"""What a process measures, and what it reports: both are JSON between the processes."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

GROUPS = (
    "closed",
    "windows",
    "watched",
    "failing",
    "open",
    "streams",
    "keys",
    "policies",
    "libraries",
    "start",
    "memory",
    "herd",
    "registry",
    "http",
    "database",
)
OF_EACH_PYTHON = frozenset({"closed", "windows", "watched", "failing", "open", "streams", "keys", "policies", "start"})
"""The groups that are measured on every Python; the others need libraries or say the same on all."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a process measures, and how long.

    Args:
        groups: Some of `GROUPS`.
        rounds: How often each subject is timed.
        batch_milliseconds: How long it runs each time.
        breakers: How many breakers to create to measure their memory.
        keys: How many breakers a registry contains.
        seed: The seed of the order in which subjects are created.
        is_first: Whether to measure what is the same in each process.
    """

    groups: tuple[str, ...]
    rounds: int
    batch_milliseconds: float
    breakers: int
    keys: int
    seed: int
    is_first: bool

    def text(self) -> str:
        """Returns the job as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Returns the job from JSON."""
        found = json.loads(text)
        return cls(**{**found, "groups": tuple(found["groups"])})


@dataclass(slots=True)
class Report:
    """What one process has measured.

    Args:
        python: Its implementation and version.
        versions: The versions of the libraries, by name.
        nanoseconds: The median time of each subject.
        ratios: What each path costs, in units of what it is compared with, by column and path.
        sizes: The other figures of recloser.
        facts: The other figures of each library.
        libraries: What the table says about each contender of a library: the library, its rules, what it does.
        absent: The libraries that are not installed, with the reason.
        errors: What could not be measured, and why.
    """

    python: str
    versions: dict[str, str] = field(default_factory=dict)
    nanoseconds: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, dict[str, float]] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)
    facts: dict[str, dict[str, float]] = field(default_factory=dict)
    libraries: dict[str, dict[str, str]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Returns the report as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parsed(cls, text: str) -> "Report":
        """Returns the report from JSON."""
        found: dict[str, Any] = json.loads(text)
        return cls(**found)
