"""The panels of the picture, each labelled where its data is."""

# pyright: reportUnknownMemberType=false
# Many of matplotlib's methods have keyword arguments without types.

from matplotlib.axes import Axes

from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.load import Lane, Outcome
from recloser.cli.demo.palette import BLUE, DOWN, INK, ORANGE, OUTCOMES, STATES, UP
from recloser.cli.demo.series import Bins, Span, lost_seconds, phase_spans, state_spans

__all__ = ["draw_bands", "draw_hits", "draw_lost", "draw_outcomes"]

_BAR_HEIGHT = 0.86
_PROBES_Y = -0.75
_LABEL_SHARE = 0.05
_VERBS = {Outcome.SUCCESS: "answered", Outcome.FAILURE: "failed", Outcome.REJECTED: "rejected at once"}


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
    """Draw what a lane's callers got, stacked."""
    bins = _bins(experiment)
    base = [0.0] * bins.count
    for outcome, color in OUTCOMES.items():
        rates = bins.rates(call.at for call in lane.calls if call.outcome is outcome)
        top = [below + rate for below, rate in zip(base, rates, strict=True)]
        axes.stairs(top, bins.edges, baseline=base, fill=True, color=color)
        base = top
    axes.set_title(f"Callers {lane.name.replace('-', ' ')}: calls per second, by what became of them")
    _label_outcomes(axes, experiment, lane)


def _label_outcomes(axes: Axes, experiment: Experiment, lane: Lane) -> None:
    """Write each outcome's count into its area; the few failures before the breaker opens get an arrow instead."""
    down, up = experiment.outage
    end, level = experiment.plan.seconds, 0.4 * axes.get_ylim()[1]
    answered, failed, rejected = (f"{lane.counts[outcome]} {verb}" for outcome, verb in _VERBS.items())
    _write(axes, (experiment.marks[-1].at + end) / 2, level, answered, OUTCOMES[Outcome.SUCCESS])
    if not lane.counts[Outcome.REJECTED]:
        _write(axes, (3 * down + up) / 4, level, failed, OUTCOMES[Outcome.FAILURE])
        return
    axes.text((down + up) / 2, level, rejected, ha="center")
    arrow = {"arrowstyle": "-", "color": INK, "linewidth": 0.8}
    sliver = (down + experiment.plan.bin_seconds / 2, level / 3)
    axes.annotate(failed, sliver, (down + end / 25, level), arrowprops=arrow)


def _write(axes: Axes, x: float, y: float, text: str, area: str) -> None:
    """Write in white; the box keeps it readable where the area is lower than the text."""
    box = {"facecolor": area, "edgecolor": "none", "pad": 1.5}
    axes.text(x, y, text, color="white", ha="center", bbox=box)


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
    """Draw the time that callers have waited for calls that failed."""
    for lane, color in ((experiment.bare, INK), (experiment.protected, BLUE)):
        times, totals = lost_seconds(lane.calls, experiment.plan.seconds)
        axes.plot(times, totals, color=color)
        label = f" {totals[-1]:.1f} s\n {lane.name.partition('-')[0]}"
        axes.text(times[-1], totals[-1], label, color=color, va="center", weight="bold")
    axes.set_title("Seconds that callers have lost waiting for errors, running total")


def _bins(experiment: Experiment) -> Bins:
    plan = experiment.plan
    return Bins(plan.bin_seconds, round(plan.seconds / plan.bin_seconds))
