"""What the end of a call means: a second implementation, as plain as possible."""

import asyncio
from typing import Any

from recloser import RejectedError
from tests.schedules.model import Verdict
from tests.schedules.plan import BAD_RESULT, ODD_RESULT, IgnoredError, OddError, Plan, is_expected

DEADLINE = "; reason: deadline exceeded"


class Judge:
    """Judges ends of calls, each under the plan that holds for it."""

    def __init__(self) -> None:
        self.deadlines: list[str] = []

    def result(self, result: object, plan: Plan) -> Verdict:
        if plan.judges_results and result in (BAD_RESULT, ODD_RESULT):
            return Verdict.FAILURE
        return Verdict.SUCCESS

    def error(self, error: BaseException, seconds: float | None, plan: Plan, *, late: bool) -> Verdict:
        """Judges an error after so many seconds; None if nobody read the clock when the call started."""
        if isinstance(error, asyncio.CancelledError):
            return self._cancellation(error, seconds, plan, late=late)
        if isinstance(error, RejectedError | IgnoredError):
            return Verdict.IGNORED
        if self._is_expected(error, plan):
            return Verdict.FAILURE
        return Verdict.SUCCESS if isinstance(error, Exception) else Verdict.IGNORED

    def _is_expected(self, error: BaseException, plan: Plan) -> bool:
        expected: Any = plan.expected
        if expected is is_expected:
            return isinstance(error, OddError | ConnectionError)
        return isinstance(error, expected)

    def _cancellation(self, error: asyncio.CancelledError, seconds: float | None, plan: Plan, *, late: bool) -> Verdict:
        text = error.args[0] if error.args else ""
        if text.endswith(DEADLINE):
            known = any(text is deadline for deadline in self.deadlines)
            if not late:
                self.deadlines.append(text)
            return Verdict.CANCELLED if known else Verdict.FAILURE
        limit = plan.overdue_after_seconds
        is_overdue = limit is not None and seconds is not None and seconds >= limit
        return Verdict.FAILURE if is_overdue else Verdict.CANCELLED
