"""The circuit breaker: the anyio shell around one state machine; `breaker.py` has the public class."""
