"""Demos for a clone, which are no part of the wheel; run one from its root: `python -m demos.fleet`."""
