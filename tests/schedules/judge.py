"""What the end of a call means: a second implementation, as plain as possible."""

from typing import Any

from recloser import RejectedError
from tests.schedules.model import Verdict
from tests.schedules.plan import BAD_RESULT, ODD_RESULT, IgnoredError, OddError, Plan, is_expected


class Judge:
    """Judges ends of calls, each under the plan that holds for it; the model judges those that are cut off."""

    def result(self, result: object, plan: Plan) -> Verdict:
        if plan.judges_results and result in (BAD_RESULT, ODD_RESULT):
            return Verdict.FAILURE
        return Verdict.SUCCESS

    def error(self, error: BaseException, plan: Plan) -> Verdict:
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
