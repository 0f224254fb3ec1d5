"""`python -m demos.dashboard`: the dashboard of a service whose dependencies fall ill and recover, again and again."""
