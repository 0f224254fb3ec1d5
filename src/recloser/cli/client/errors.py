"""The errors that end `recloser top` and `recloser status` early."""

__all__ = ["AddressError", "EndedError", "ForeignError", "UnreachableError"]


class AddressError(ValueError):
    """The argument is no address of a dashboard."""


class EndedError(Exception):
    """A signal has ended the command.

    Args:
        number: The number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class ForeignError(Exception):
    """The response is not the state of circuit breakers, or has an unknown version."""


class UnreachableError(Exception):
    """No dashboard can be reached; the message says why."""
