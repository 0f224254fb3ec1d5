"""What HTTP says about a breaker: origins, failing statuses, `Retry-After`."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from recloser.integrations._http import origin, peer, retry_after
from tests.integrations.conftest import Library

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def origin_of(library: Library, url: str) -> str:
    parsed = library.web.URL(url)
    return origin(parsed.scheme, parsed.raw_host.decode("ascii"), parsed.port)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example/path?key=1#top", "https://api.example"),
        ("https://api.example:443", "https://api.example"),
        ("HTTPS://API.example:443", "https://api.example"),
        ("http://api.example:443", "http://api.example:443"),
        ("http://API.Example:80/", "http://api.example"),
        ("http://user:secret@api.example:8080/", "http://api.example:8080"),
        ("http://api.example:0/", "http://api.example:0"),
        ("http://[::1]/", "http://[::1]"),
        ("http://[0:0:0:0:0:0:0:1]:80/", "http://[::1]"),
        ("http://[2001:DB8::00FF]:8080/", "http://[2001:db8::ff]:8080"),
        ("http://[fe80::1%25eth0]/", "http://[fe80::1%25eth0]"),
        ("https://BÜCHER.example/", "https://xn--bcher-kva.example"),
        ("https://bücher.example/", "https://xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example"),
    ],
)
def test_all_ways_of_writing_an_origin_are_one(library: Library, url: str, expected: str) -> None:
    assert origin_of(library, url) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://api.example/", "https://api.example/"),
        ("http://api.example/", "http://api.example:8080/"),
        ("http://api.example/", "http://api.example.org/"),
        ("http://127.0.0.1/", "http://[::1]/"),
    ],
)
def test_different_origins_are_told_apart(library: Library, one: str, other: str) -> None:
    assert origin_of(library, one) != origin_of(library, other)


def test_a_host_that_no_dns_could_know_is_abbreviated() -> None:
    names = {origin("http", letter + "a" * 60_000, None) for letter in "bcd"} | {origin("http", "b" + "a" * 59_999, 1)}
    assert len(names) == 4
    assert max(map(len, names)) < 120


def test_an_origin_is_in_lower_case_whatever_library_it_comes_from() -> None:
    assert origin("HTTPS", "API.Example", 443) == "https://api.example"


def test_what_only_looks_like_an_address_is_taken_as_it_is() -> None:
    assert origin("http", "not:an:address", 80) == "http://[not:an:address]"


def test_the_longest_host_that_there_can_be_is_kept() -> None:
    assert origin("http", "a" * 253, None) == "http://" + "a" * 253


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("007", 7),
        ("301", 300),
        ("999999999999999", 300),
        ("9" * 5_000, 300),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("1e3", None),
        ("٣", None),
        ("²", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("soon", None),
        ("Fri, 31 Feb 2026 00:00:00 GMT", None),
        ("Fri, 31 Dec 999999999999999999999 23:59:59 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
    ],
)
@time_machine.travel(NOW, tick=False)
def test_retry_after_is_taken_at_its_word_within_bounds(value: str, expected: float | None) -> None:
    assert retry_after({"retry-after": value}, 300.0) == expected


WORDS = st.sampled_from(
    ["Fri,", "31", "Feb", "2026", "23:59:60", "99:99", "GMT", "-0000", "+9999", "-9999", "0", "-1", "AM"]
)
HOSTILE = st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=9).map(" ".join))


@given(HOSTILE, HOSTILE)
def test_whatever_a_peer_writes_there_is_a_bounded_wait_or_none(value: str, date: str) -> None:
    wait = retry_after({"retry-after": value, "date": date}, 300.0)
    assert wait is None or 0 < wait <= 300


def test_a_response_without_retry_after_says_nothing() -> None:
    assert retry_after({}, 300.0) is None


def test_retry_after_is_not_heeded_without_a_bound() -> None:
    assert retry_after({"retry-after": "30"}, None) is None


@time_machine.travel(NOW, tick=False)
@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_a_date_without_another_is_compared_with_the_clock_here(zone: str) -> None:
    assert retry_after({"retry-after": f"Tue, 24 Nov 2026 12:00:40 {zone}"}, 300.0) == 40


@time_machine.travel(NOW, tick=False)
def test_a_date_is_compared_with_the_clock_of_the_server() -> None:
    wrong = NOW - timedelta(days=400)
    headers = {
        "retry-after": format_datetime(wrong + timedelta(seconds=40), usegmt=True),
        "date": format_datetime(wrong, usegmt=True),
    }
    assert retry_after(headers, 300.0) == 40


@pytest.mark.parametrize(
    ("scheme", "host", "port", "expected"),
    [
        ("https", "API.example", None, "api.example:443"),
        ("http", "api.example", 8080, "api.example:8080"),
        ("wss", "0:0::1", None, "[::1]:443"),
        ("HTTPS", "api.example", 443, "api.example:443"),
        ("custom", "api.example", None, None),
    ],
)
def test_a_peer_is_the_host_and_the_port(scheme: str, host: str, port: int | None, expected: str | None) -> None:
    assert peer(scheme, host, port) == expected
