"""The exit codes of the `recloser` command. Every command documents those that it has in its `--help`."""

__all__ = ["BY_HAND", "BY_SIGNAL", "CANNOT_TELL", "INTERRUPTED", "NOT_OK", "OK", "USAGE"]

OK = 0
"""The command did its work, and all is well."""

NOT_OK = 1
"""The command did its work, and something is not well: a breaker is open, or a setting is harmful."""

USAGE = 2
"""An argument, an option or an input file is wrong."""

CANNOT_TELL = 3
"""The command could not do its work: a dashboard is unreachable, or a library is missing."""

BY_HAND = 4
"""The only breakers that are not closed were forced open or disabled by hand."""

BY_SIGNAL = 128
"""The number of the signal that ended the command is added to this, as shells do."""

INTERRUPTED = BY_SIGNAL + 2
"""The user pressed Ctrl-C."""
