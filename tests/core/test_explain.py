from recloser._core.explain import explain
from recloser._core.shadow import ShadowCalls
from recloser._core.states import Trigger
from recloser._core.trip import FailureRate, SlowCallRate
from recloser._core.windows import CountWindow
from tests.core.driver import Driver, F, S


def said(driver: Driver) -> str:
    return explain("payments", driver.snapshot)


def test_closed_tells_the_count_and_the_rule() -> None:
    driver = Driver(failure_threshold=5)
    driver.call(F)
    driver.advance(12.34)
    assert said(driver) == (
        "Circuit breaker 'payments' is closed for 12.3 s: 1 failure counted; it opens at 5 consecutive failures."
    )


def test_closed_again_tells_why() -> None:
    driver = Driver(failure_threshold=5)
    driver.half_open()
    driver.call(S)
    assert said(driver) == (
        "Circuit breaker 'payments' is closed for 0.0 s: 1 of 1 probe succeeded; "
        "0 failures counted; it opens at 5 consecutive failures."
    )


def test_half_open_after_a_forced_opening_tells_of_no_error() -> None:
    driver = Driver()
    driver.go(Trigger.FORCED_OPEN, reason="moving house", for_seconds=90.0)
    driver.advance(90)
    driver.admit()
    assert "a call arrived; 1 probe running" in said(driver)


def test_closed_tells_the_rates_that_are_defined() -> None:
    window = CountWindow(10)
    rule = FailureRate(0.9, window=window, minimum_calls=4)
    driver = Driver(trip_when=rule | SlowCallRate(0.9, slow_call_seconds=1, window=window, minimum_calls=4))
    driver.call(F, S, S, duration=2)
    assert "1 failure counted; it opens at failure rate of 90 % in the last 10 calls" in said(driver)
    driver.call(F)
    assert "2 failures counted, failure rate 50 %, slow call rate 75 %; it opens at " in said(driver)


def test_shadow_mode_tells_what_enforcing_would_have_done() -> None:
    driver = Driver(failure_threshold=1, shadow=True)
    driver.call(F)
    nothing = "; in shadow mode it rejects nothing: 0 calls would have been rejected."
    assert said(driver).endswith(f"a probe may go through in 60.0 s{nothing}")
    driver.machine.shadow_calls = ShadowCalls(would_reject=41, failed=30, succeeded=11)
    tail = "; in shadow mode it rejects nothing: 41 calls would have been rejected (30 failed, 11 succeeded)."
    assert said(driver).endswith(f"a probe may go through in 60.0 s{tail}")
    driver.go(Trigger.FORCED_OPEN, reason="a test")
    assert said(driver).endswith(f"; it stays so until reset() is called{tail}")


def test_open_tells_why_and_when_a_probe_may_go_through() -> None:
    driver = Driver(failure_threshold=2, reset_timeout_seconds=60)
    driver.call(F, F)
    driver.advance(18.7)
    assert said(driver) == (
        "Circuit breaker 'payments' is open for 18.7 s: 2 consecutive failures (threshold 2); "
        "last error ConnectionError: down; a probe may go through in 41.3 s."
    )


def test_open_with_its_time_over_tells_that_the_next_call_is_a_probe() -> None:
    driver = Driver(failure_threshold=1, reset_timeout_seconds=60)
    driver.call(F)
    driver.advance(60)
    assert said(driver).endswith("; the next call is a probe.")
    assert driver.state == "open"


def test_open_again_tells_the_attempt() -> None:
    driver = Driver(failure_threshold=1, reset_timeout_seconds=60)
    driver.call(F)
    driver.wait_out()
    driver.call(F)
    assert said(driver) == (
        "Circuit breaker 'payments' is open for 60.0 s: 1 consecutive failure (threshold 1); "
        "last error ConnectionError: down (attempt 2); 1 probe failed; errors so far: 2 x ConnectionError; "
        "a probe may go through in 60.0 s."
    )


def test_half_open_tells_the_probes() -> None:
    driver = Driver(success_threshold=3, max_probes=2)
    driver.half_open()
    driver.call(S)
    driver.admit()
    assert said(driver) == (
        "Circuit breaker 'payments' is half open for 0.0 s: the reset timeout has elapsed and a call arrived; "
        "1 probe running, 1 of 3 succeeded; it closes at 3 and opens again on a failure; "
        "the outage has lasted 60.0 s and began with: the trip rule was met."
    )
    driver.admit()
    assert "2 probes running, 1 of 3 succeeded" in said(driver)


def test_forced_open_tells_the_reason_and_that_it_stays() -> None:
    driver = Driver()
    driver.go(Trigger.FORCED_OPEN, reason="moving house")
    assert said(driver) == (
        "Circuit breaker 'payments' is forced open for 0.0 s: forced open until reset: moving house; "
        "it rejects all calls until reset() is called."
    )


def test_forced_open_for_a_time_tells_how_long_it_still_lasts() -> None:
    driver = Driver()
    driver.go(Trigger.FORCED_OPEN, reason="moving house", for_seconds=90.0)
    driver.advance(30)
    assert said(driver) == (
        "Circuit breaker 'payments' is forced open for 30.0 s: forced open for 90 s: moving house; "
        "a probe may go through in 60.0 s."
    )
    driver.advance(60)
    assert said(driver).endswith("moving house; the next call is a probe.")


def test_disabled_tells_the_counts_and_that_nothing_trips() -> None:
    driver = Driver()
    driver.go(Trigger.DISABLED)
    driver.call(*[F] * 7)
    assert said(driver) == (
        "Circuit breaker 'payments' is disabled for 0.0 s: disabled by hand; 7 failures counted; "
        "it admits all calls and trips on nothing until reset() is called."
    )
