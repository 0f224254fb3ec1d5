"""Why a trip rule is met, in numbers and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from recloser._core.wording import percent, plural

if TYPE_CHECKING:
    from recloser._core.windows import Window, WindowTotals


class Evidence(NamedTuple):
    """Why a rule is met, in numbers and as text; the fields are those of `Cause`."""

    kind: str
    observed: float
    threshold: float
    text: str
    calls: int | None = None
    counted: int | None = None
    window: Window | None = None
    slow_call_seconds: float | None = None


def run_evidence(run: int, threshold: int) -> Evidence | None:
    """Return why a run of failures is long enough; None if it is not."""
    if run < threshold:
        return None
    text = f"{run} consecutive {plural(run, 'failure')} (threshold {threshold})"
    return Evidence("consecutive_failures", run, threshold, text)


def rate_evidence(kind: str, how: str, threshold: float, rate: float | None, totals: WindowTotals) -> Evidence | None:
    """Return why a rate is reached; None if it is not."""
    if rate is None or rate < threshold:
        return None
    calls, counted = totals.calls, totals.hits
    figures = f"{counted} of {calls} calls {how}; threshold {percent(threshold)}"
    text = f"{kind.replace('_', ' ')} {percent(rate)} ({figures})"
    return Evidence(kind, rate, threshold, text, calls=calls, counted=counted)
