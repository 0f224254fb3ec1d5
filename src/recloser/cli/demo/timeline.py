"""The picture of a run: panels over one time axis, with the results as the headline."""

# pyright: reportUnknownMemberType=false
# Many of matplotlib's methods have keyword arguments without types.

from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from recloser.cli.demo import panels
from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.palette import GREY, INK, PLOT, SHADE
from recloser.cli.demo.summary import Summary

__all__ = ["draw"]

_STYLE = {
    **PLOT,
    "axes.edgecolor": GREY,
    "lines.linewidth": 1.8,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
}
_GRID = {"height_ratios": (1.5, 2, 2, 2, 2), "hspace": 0.45, "left": 0.07, "right": 0.93, "top": 0.905, "bottom": 0.06}


def draw(experiment: Experiment, summary: Summary, path: Path) -> None:
    """Write the picture of a finished run.

    Args:
        experiment: The run.
        summary: Its figures.
        path: Where to write; the suffix selects the format.

    Raises:
        OSError: It could not be written.
    """
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(11, 8.8))
        bands, protected, bare, hits, lost = figure.subplots(5, sharex=True, gridspec_kw=_GRID)
        _headline(figure, experiment, summary)
        for axes in (protected, bare, hits, lost):
            axes.axvspan(*experiment.outage, color=SHADE, zorder=0)
        panels.draw_bands(bands, experiment)
        panels.draw_outcomes(protected, experiment, experiment.protected)
        panels.draw_outcomes(bare, experiment, experiment.bare)
        panels.draw_hits(hits, experiment)
        panels.draw_lost(lost, experiment)
        bare.sharey(protected)
        lost.set_xlim(0, experiment.plan.seconds)
        lost.set_xlabel("seconds")
        lost.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _headline(figure: Figure, experiment: Experiment, summary: Summary) -> None:
    title = "The same load on a failing service, with a circuit breaker and without"
    protected, bare = summary.protected, summary.bare
    text = (
        f"{experiment.plan.callers} callers each. "
        f"Requests that reached the service while it was down: {protected.hits_while_down} with the breaker, "
        f"{bare.hits_while_down} without. "
        f"Time that callers lost: {protected.lost_seconds:.1f} s and {bare.lost_seconds:.1f} s."
    )
    figure.text(0.02, 0.968, title, size=15, weight="bold")
    figure.text(0.02, 0.941, text, color=GREY)
