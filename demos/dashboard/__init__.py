"""`python -m demos.dashboard`: the dashboard of a service whose dependencies fail and recover, again and again."""
