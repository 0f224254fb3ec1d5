"""The colours of pictures, each with one meaning, and the style of plots.

People with any kind of colour vision can distinguish Okabe and Ito's palette: https://jfly.uni-koeln.de/color/
"""

from recloser import CircuitState
from recloser.cli.demo.lane import AnswerSource

__all__ = [
    "BLUE",
    "DOWN",
    "GREEN",
    "GREY",
    "INK",
    "LETTERS",
    "ORANGE",
    "OUTCOMES",
    "PLOT",
    "SHADE",
    "STATES",
    "UP",
    "VERMILION",
]

GREEN, VERMILION = "#009e73", "#d55e00"
BLUE, ORANGE = "#0072b2", "#e69f00"
INK, GREY, SHADE = "#222222", "#5f6670", "#faf3e8"
UP, DOWN = "#d9eee6", "#f3c3a4"
OUTCOMES = {
    AnswerSource.SERVICE: (GREEN, "white"),
    AnswerSource.FAILURE: (VERMILION, "white"),
    AnswerSource.MEMORY: ("#56b4e9", INK),
    AnswerSource.DEFAULT: ("#c3c8cf", INK),
}
STATES = {
    CircuitState.CLOSED.value: (GREEN, "white"),
    CircuitState.OPEN.value: (GREY, "white"),
    CircuitState.HALF_OPEN.value: (ORANGE, INK),
}
LETTERS: dict[str, object] = {"font.family": "DejaVu Sans", "font.size": 9.5, "svg.hashsalt": "recloser"}
"""matplotlib's settings for every picture: its letters, and the same ids in the SVG of every run."""
PLOT: dict[str, object] = {
    **LETTERS,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
}
"""matplotlib's settings for a plot with axes."""
