"""What can go wrong between here and a dashboard."""

__all__ = ["AddressError", "ForeignError", "UnreachableError"]


class AddressError(ValueError):
    """What was given is no address of a dashboard."""


class ForeignError(Exception):
    """What was received is not the state of circuit breakers, or of a version that this does not know."""


class UnreachableError(Exception):
    """There is no dashboard to be reached; the message says why."""
