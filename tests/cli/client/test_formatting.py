import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser.cli.client.formatting import printable


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
