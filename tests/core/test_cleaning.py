import time
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser._core.cleaning import LONGEST_TEXT, clean

SECRET_ALPHABET = ascii_letters + digits
secrets_of_people = st.text(SECRET_ALPHABET, min_size=8, max_size=40).map(lambda text: f"S3cr{text}")
PLANTED = [
    "Client error '404 Not Found' for url 'https://api.example/v1/{}/orders'",
    "for url https://user:{}@api.example:8443/v1",
    "for url https://{}@api.example/v1?x=1",
    "for url 'https://api.example/v1?api_key={}&page=2'",
    "GET /v1/items?token={} failed",
    "postgresql://shop:{}@db.internal:5432/shop refused",
    "postgres://u:p@ss/{}@db.internal/shop",
    "mongodb://u:{}@one:27017,two:27017/shop",
    "host=db.internal user=shop password={} dbname=shop",
    "host=db.internal password='{} with blanks' dbname=shop",
    "Authorization: Bearer {}",
    "authorization: Basic {}\r\nHost: api.example",
    "{{'Authorization': 'Bearer {}', 'Accept': '*/*'}}",
    "[(b'authorization', b'Bearer {}')]",
    "X-Api-Key: {}",
    "{{'x-goog-api-key': '{}'}}",
    "Set-Cookie: session={}; Path=/",
    '{{"access_token": "{}", "expires_in": 3600}}',
    "client_secret={}",
    "Incorrect API key provided: sk-{}.",
    "sent Bearer {}",
    "no such user {}@example.com",
    "illegal status line: bytearray(b'HTTP {}')",
    "(asyncpg.UniqueViolationError) duplicate key\nDETAIL:  Key (email)=({}) already exists.",
    "error\n[SQL: INSERT INTO people VALUES ($1)]\n[parameters: ('{}',)]",
    "near \"FROM\": syntax error: SELECT * FROM people WHERE name = '{}'",
    "select name from people where name = '{}'",
    "could not run INSERT INTO people (name) VALUES ('{}')",
    "could not run update people set name = '{}'",
    "delete from people where name = '{}'",
    "new row for relation people violates check constraint; Failing row contains (1, {}).",
]


@pytest.mark.parametrize("template", PLANTED)
@given(secret=secrets_of_people)
def test_nothing_that_is_planted_where_secrets_are_is_left(template: str, secret: str) -> None:
    assert secret not in clean(template.format(secret))


@given(secret=secrets_of_people, template=st.sampled_from(PLANTED), before=st.text(max_size=1200))
def test_no_text_in_front_of_it_brings_a_secret_to_light(secret: str, template: str, before: str) -> None:
    assert secret not in clean(f"{before} {template.format(secret)}")


@pytest.mark.parametrize("template", PLANTED)
@given(secret=secrets_of_people)
def test_a_text_in_quotes_hides_no_secret(template: str, secret: str) -> None:
    assert secret not in clean(repr(template.format(secret)))


@given(st.text(max_size=2000))
def test_a_text_has_one_line_and_at_most_two_hundred_visible_characters(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= LONGEST_TEXT
    assert cleaned.isprintable()
    assert cleaned == cleaned.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("boom", "boom"),
        ("  two\n lines  ", "two lines"),
        ("All connection attempts failed", "All connection attempts failed"),
        ("could not select a server", "could not select a server"),
        ("no route to [::1]:80", "no route to [::1]:80"),
        ("see https://example.com.", "see https://example.com"),
        ("for url 'https://[::1]:8443/v1'", "for url 'https://[::1]:8443/...'"),
        ("https://user:pw@[::1]", "https://[::1]"),
        ("file:///etc/shop.conf", "file://..."),
        ("Connect call failed ('127.0.0.1', 5432)", "Connect call failed ('127.0.0.1', 5432)"),
        ("pod payments-7d9f8b6c5d-x2x4z is gone", "pod payments-7d9f8b6c5d-x2x4z is gone"),
        ("monkey: banana, 1.5 s at 05:38:01", "monkey: banana, 1.5 s at 05:38:01"),
        ("id 550e8400-e29b-41d4-a716-446655440000 is unknown", "id ... is unknown"),
        ("card 4111 1111 1111 1111 declined", "card ... declined"),
        ("-" * 40, "-" * 40),
        ("A" * 40, "A" * 40),
        ("\x1b[31mred\x1b[0m\u202e", "[31mred [0m"),
        ("word " * 60, "word " * 39 + "wo..."),
        ("word " * 300, "word " * 39 + "wo..."),
        ("x" * 1001, "..."),
    ],
)
def test_what_is_no_secret_stays(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "part",
    ["token", "select ", "a.b@", "?=#", "'", "key='", "b'", "https://", "password ", "update x ", "-", "with x "],
)
def test_no_text_is_cleaned_slowly(part: str) -> None:
    text = (part * 100_000)[:100_000]
    clean(text)
    began = time.process_time()
    clean(text)
    clean(text[:999])
    assert time.process_time() - began < 1
