"""The colours of the picture; each has one meaning.

People with any kind of colour vision can distinguish Okabe and Ito's palette: https://jfly.uni-koeln.de/color/
"""

from recloser import CircuitState
from recloser.cli.demo.lane import AnswerSource

__all__ = ["BLUE", "DOWN", "GREY", "INK", "ORANGE", "OUTCOMES", "SHADE", "STATES", "UP"]

_GREEN, _VERMILION = "#009e73", "#d55e00"
BLUE, ORANGE = "#0072b2", "#e69f00"
INK, GREY, SHADE = "#222222", "#5f6670", "#faf3e8"
UP, DOWN = "#d9eee6", "#f3c3a4"
OUTCOMES = {
    AnswerSource.SERVICE: (_GREEN, "white"),
    AnswerSource.FAILURE: (_VERMILION, "white"),
    AnswerSource.MEMORY: ("#56b4e9", INK),
    AnswerSource.DEFAULT: ("#c3c8cf", INK),
}
STATES = {
    CircuitState.CLOSED.value: (_GREEN, "white"),
    CircuitState.OPEN.value: (GREY, "white"),
    CircuitState.HALF_OPEN.value: (ORANGE, INK),
}
