"""What a breaker in shadow mode would have rejected, and how these calls really ended."""

from __future__ import annotations

from typing import NamedTuple

from recloser._core.outcomes import Outcome


class ShadowCalls(NamedTuple):
    """Calls that a breaker would have rejected, and that ran because of shadow mode.

    No other total contains them. Those that neither failed nor succeeded were ignored, or are still running.

    Attributes:
        would_reject: How many there were.
        failed: How many of them failed: enforcing would have spared these.
        succeeded: How many of them succeeded: enforcing would have cost these.
    """

    would_reject: int = 0
    failed: int = 0
    succeeded: int = 0

    def started(self) -> ShadowCalls:
        """Return the numbers with one call more."""
        return self._replace(would_reject=self.would_reject + 1)

    def ended(self, outcome: Outcome) -> ShadowCalls:
        """Return the numbers after one of these calls has ended."""
        if outcome is Outcome.FAILURE:
            return self._replace(failed=self.failed + 1)
        return self._replace(succeeded=self.succeeded + 1) if outcome is Outcome.SUCCESS else self


NO_SHADOW_CALLS = ShadowCalls()
"""Shared by all breakers that have let no call through in shadow mode."""
