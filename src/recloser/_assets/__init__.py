"""Files that several packages share: uPlot, which draws charts in a browser."""

from importlib.resources import files

__all__ = ["UPLOT"]

UPLOT = files(__name__) / "uplot"
"""The directory with uPlot's script and style sheet."""
