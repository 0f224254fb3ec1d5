"""The panels of the picture; each label is next to its data."""

# pyright: reportUnknownMemberType=false
# Many of matplotlib's methods have keyword arguments without types.

from statistics import median

from matplotlib.axes import Axes

from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.lane import AnswerSource, Lane
from recloser.cli.demo.palette import BLUE, DOWN, INK, ORANGE, OUTCOMES, STATES, UP
from recloser.cli.demo.series import Bins, Span, lost_seconds, phase_spans, state_spans

__all__ = ["draw_bands", "draw_hits", "draw_lost", "draw_outcomes"]

_BAR_HEIGHT = 0.86
_PROBES_Y = -0.75
_LABEL_SHARE = 0.05
_HEADROOM = 0.25
# Heights as shares of a panel.
_SLIVER_Y, _LEVEL_Y, _ABOVE_Y = 0.12, 0.35, 0.86
_VERBS = {
    AnswerSource.SERVICE: "from the service",
    AnswerSource.MEMORY: "from memory",
    AnswerSource.DEFAULT: "by default",
    AnswerSource.FAILURE: "failed",
}


def draw_bands(axes: Axes, experiment: Experiment) -> None:
    """Draw the upstream's phases, the breaker's states and a mark for each probe."""
    total = experiment.plan.seconds
    for mark, span in zip(experiment.marks, phase_spans(experiment), strict=True):
        _bar(axes, span, 1.0, (DOWN if mark.phase.down else UP, INK), total)
    for span in state_spans(experiment):
        _bar(axes, span, 0.0, STATES[span.name], total)
    probes = [episode.began for episode in experiment.history.episodes]
    axes.plot(probes, [_PROBES_Y] * len(probes), "^", color=ORANGE, markersize=6)
    axes.set_ylim(-1.0, 1.45)
    axes.set_yticks([1.0, 0.0, _PROBES_Y], ["service", "breaker", "probes"], color=INK)
    axes.tick_params(length=0, labelbottom=False)
    axes.spines[:].set_visible(False)


def _bar(axes: Axes, span: Span, y: float, colors: tuple[str, str], total: float) -> None:
    fill, ink = colors
    width = span.ended - span.began
    axes.barh(y, width, left=span.began, height=_BAR_HEIGHT, color=fill, edgecolor=fill)
    if width / total > _LABEL_SHARE:
        name = span.name.replace("_", "-\n")
        axes.text(span.began + width / 2, y, name, color=ink, ha="center", va="center", size=8, linespacing=1)


def draw_outcomes(axes: Axes, experiment: Experiment, lane: Lane) -> None:
    """Draw what a lane's callers got over time, as stacked areas."""
    bins = _bins(experiment)
    base = [0.0] * bins.count
    for outcome, (fill, _) in OUTCOMES.items():
        rates = bins.rates(call.at for call in lane.calls if call.outcome is outcome)
        top = [below + rate for below, rate in zip(base, rates, strict=True)]
        axes.stairs(top, bins.edges, baseline=base, fill=True, color=fill)
        base = top
    axes.margins(y=_HEADROOM)
    axes.set_title(f"Callers {lane.name.replace('-', ' ')}: calls per second, by what they got")
    _label_outcomes(axes, experiment, lane)


def _label_outcomes(axes: Axes, experiment: Experiment, lane: Lane) -> None:
    """Write each outcome's count into its area; for the few failures before the breaker opens, write it above."""
    down, up = experiment.outage
    bin_seconds = experiment.plan.bin_seconds
    recovered = (experiment.marks[-1].at + experiment.plan.seconds) / 2
    _write(axes, lane, AnswerSource.SERVICE, recovered)
    if lane.counts[AnswerSource.MEMORY]:
        _write(axes, lane, AnswerSource.MEMORY, down + 1.5 * bin_seconds, ha="left")
    if lane.counts[AnswerSource.DEFAULT]:
        middle = median(call.at for call in lane.calls if call.outcome is AnswerSource.DEFAULT)
        _write(axes, lane, AnswerSource.DEFAULT, middle)
    if not lane.counts[AnswerSource.MEMORY] + lane.counts[AnswerSource.DEFAULT]:
        _write(axes, lane, AnswerSource.FAILURE, (3 * down + up) / 4)
        return
    sliver = down + bin_seconds / 2
    axes.plot([sliver, sliver], [_SLIVER_Y, _ABOVE_Y], color=INK, linewidth=0.8, transform=axes.get_xaxis_transform())
    _write(axes, lane, AnswerSource.FAILURE, sliver, y=_ABOVE_Y)


def _write(axes: Axes, lane: Lane, outcome: AnswerSource, x: float, *, y: float = _LEVEL_Y, ha: str = "center") -> None:
    """Write an outcome's count; the box keeps it readable if the area is lower than the text."""
    fill, ink = OUTCOMES[outcome]
    text = f"{lane.counts[outcome]} {_VERBS[outcome]}"
    box = {"facecolor": fill, "edgecolor": "none", "pad": 1.5}
    axes.text(x, y, text, color=ink, ha=ha, bbox=box, transform=axes.get_xaxis_transform())


def draw_hits(axes: Axes, experiment: Experiment) -> None:
    """Draw how many requests of each lane reached the upstream."""
    bins = _bins(experiment)
    for lane, color in ((experiment.bare, INK), (experiment.protected, BLUE)):
        times = (hit.at for hit in experiment.upstream.hits if hit.lane == lane.name)
        axes.stairs(bins.rates(times), bins.edges, color=color, baseline=None, linewidth=1.8)
    axes.set_title("Requests per second that reached the service")
    axes.text(0.86, 1.06, "with breaker", transform=axes.transAxes, color=BLUE, ha="right", weight="bold")
    axes.text(1.0, 1.06, "without breaker", transform=axes.transAxes, ha="right", weight="bold")


def draw_lost(axes: Axes, experiment: Experiment) -> None:
    """Draw the total time that callers have waited for calls that failed."""
    for lane, color in ((experiment.bare, INK), (experiment.protected, BLUE)):
        times, totals = lost_seconds(lane.calls, experiment.plan.seconds)
        axes.plot(times, totals, color=color)
        label = f" {totals[-1]:.1f} s\n {lane.name.partition('-')[0]}"
        axes.text(times[-1], totals[-1], label, color=color, va="center", weight="bold")
    axes.set_title("Seconds that callers have lost waiting for errors, running total")


def _bins(experiment: Experiment) -> Bins:
    plan = experiment.plan
    return Bins(plan.bin_seconds, round(plan.seconds / plan.bin_seconds))
