"""What every test shares: the Hypothesis profile of the soak session."""

from hypothesis import settings

# Locally and in CI, Hypothesis brings its own profiles; `nox -s soak` takes this one.
settings.register_profile("soak", max_examples=20_000, stateful_step_count=100, deadline=None)
