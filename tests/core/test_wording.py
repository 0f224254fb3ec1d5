import pytest

from recloser._core.wording import percent, plural


@pytest.mark.parametrize(("number", "text"), [(0, "calls"), (1, "call"), (1.0, "call"), (2, "calls"), (1.5, "calls")])
def test_only_one_is_singular(number: float, text: str) -> None:
    assert plural(number, "call") == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.0, "0 %"), (0.5, "50 %"), (0.125, "12.5 %"), (2 / 3, "66.7 %"), (0.001, "0.1 %"), (1.0, "100 %")],
)
def test_a_rate_is_told_in_percent_with_three_digits(rate: float, text: str) -> None:
    assert percent(rate) == text
