"""What the end of a call means, written down a second time and as plainly as possible."""

import asyncio
from typing import Any

from recloser import RejectedError
from tests.schedules.model import Verdict
from tests.schedules.plan import BAD_RESULT, ODD_RESULT, NeutralError, OddError, Plan, is_expected

DEADLINE = "; reason: deadline exceeded"


class Judge:
    """Judges ends of calls under one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.deadlines: list[str] = []

    def result(self, result: object) -> Verdict:
        if self.plan.judges_results and result in (BAD_RESULT, ODD_RESULT):
            return Verdict.FAILURE
        return Verdict.SUCCESS

    def error(self, error: BaseException, seconds: float, *, late: bool) -> Verdict:
        if isinstance(error, asyncio.CancelledError):
            return self._cancellation(error, seconds, late=late)
        if isinstance(error, RejectedError | NeutralError):
            return Verdict.IGNORED
        if self._is_expected(error):
            return Verdict.FAILURE
        return Verdict.SUCCESS if isinstance(error, Exception) else Verdict.IGNORED

    def _is_expected(self, error: BaseException) -> bool:
        expected: Any = self.plan.expected
        if expected is is_expected:
            return isinstance(error, OddError | ConnectionError)
        return isinstance(error, expected)

    def _cancellation(self, error: asyncio.CancelledError, seconds: float, *, late: bool) -> Verdict:
        text = error.args[0] if error.args else ""
        if text.endswith(DEADLINE):
            known = any(text is deadline for deadline in self.deadlines)
            if not late:
                self.deadlines.append(text)
            return Verdict.CANCELLED if known else Verdict.FAILURE
        limit = self.plan.count_cancelled_after_seconds
        return Verdict.FAILURE if limit is not None and seconds >= limit else Verdict.CANCELLED
