"""Benchmarks of recloser: what a protected call costs, compared with a hand-written breaker and other libraries.

Run `python -m benchmarks --help`. `README.md` in this directory has the figures of the last full run.
"""
