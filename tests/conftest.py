"""What every test shares: Ctrl-C that works, and the Hypothesis profile of the soak session."""

import signal

from hypothesis import settings

# A shell that starts a program in the background has it ignore Ctrl-C; the tests that press it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Locally and in CI, Hypothesis brings its own profiles; `nox -s soak` takes this one.
settings.register_profile("soak", max_examples=20_000, stateful_step_count=100, deadline=None)
