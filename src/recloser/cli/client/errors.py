"""What ends a look at a dashboard early."""

__all__ = ["AddressError", "EndedError", "ForeignError", "UnreachableError"]


class AddressError(ValueError):
    """What was given is no address of a dashboard."""


class EndedError(Exception):
    """A signal has ended the command.

    Args:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class ForeignError(Exception):
    """What was received is not the state of circuit breakers, or of a version that this does not know."""


class UnreachableError(Exception):
    """There is no dashboard to be reached; the message says why."""
