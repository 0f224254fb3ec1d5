import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser.cli.client.formatting import duration, plural, printable, rate, state_word


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("payments", "payments"),
        ("größe 数 🎉", "größe 数 🎉"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\nb\tc\u2028d", "a\\nb\\tc\\u2028d"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\ud800", "\\ud800"),
        ("\x9b31m", "\\x9b31m"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ("e\u0301" + "a" + "\u0301" * 6, "e\u0301" + "a" + "\u0301" * 4 + "\\u0301" * 2),
        ("\u0301x", "\\u0301x"),
    ],
)
def test_what_could_drive_a_terminal_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_whatever_is_given_can_be_printed(text: str) -> None:
    assert printable(text).isprintable() or max(printable(text)) >= "\u00a0"
    printable(text).encode("utf-8")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (245, "4 min 5 s"),
        (3_600, "1 h"),
        (10_920, "3 h 2 min"),
        (183_600, "2 d 3 h"),
        (float("inf"), "11574074 d 1 h"),
    ],
)
def test_a_duration_is_said_in_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "-"),
        (0, "0"),
        (-1, "0"),
        (0.001, "<0.01"),
        (0.1234, "0.123"),
        (17.06, "17.1"),
        (999.4, "999"),
        (12_345, "12.3k"),
        (2.5e6, "2.5M"),
    ],
)
def test_a_rate_has_three_digits_and_is_never_zero_unless_it_is(value: float | None, said: str) -> None:
    assert rate(value) == said


def test_states_and_counts_are_words() -> None:
    assert (state_word("half_open"), plural(1, "update"), plural(1_234, "update")) == (
        "half open",
        "1 update",
        "1,234 updates",
    )
