"""Benchmarks of recloser: what a protected call costs beside a hand-written breaker and beside other libraries.

Run `python -m benchmarks --help`. The figures of the last full run are in `README.md` beside this file.
"""
