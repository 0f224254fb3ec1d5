"""The help page of a command: its examples come before its options, and its exit codes after them."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from recloser.cli.exit_codes import INTERRUPTED

__all__ = ["DocumentedCommand", "DocumentedGroup"]

_COMPLETION = [
    'bash:  eval "$(_RECLOSER_COMPLETE=bash_source recloser)"    # in ~/.bashrc',
    'zsh:   eval "$(_RECLOSER_COMPLETE=zsh_source recloser)"     # in ~/.zshrc',
    "fish:  _RECLOSER_COMPLETE=fish_source recloser | source     # in config.fish",
]


class DocumentedCommand(click.Command):
    """A command whose help page has examples.

    Args:
        *args: As for `click.Command`.
        examples: Command lines, of at most 74 characters.
        exit_codes: What each exit code means; Ctrl-C is added.
        **kwargs: As for `click.Command`.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - click's own
        examples: Sequence[str],
        exit_codes: Mapping[int, str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - click's own
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.exit_codes: dict[int, str] = {**(exit_codes or {}), INTERRUPTED: "Ctrl-C ended the command."}

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command does, and its examples."""
        super().format_help_text(ctx, formatter)
        _write_lines(formatter, "Examples", [f"$ {example}" for example in self.examples])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes, and where to read about shell completion."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in self.exit_codes.items()])
        formatter.write_paragraph()
        formatter.write_text("`recloser --help` says how to set up shell completion.")
        super().format_epilog(ctx, formatter)


class DocumentedGroup(click.Group):
    """A group whose help page has examples, and says how to set up shell completion.

    Args:
        *args: As for `click.Group`.
        examples: Command lines, of at most 74 characters.
        **kwargs: As for `click.Group`.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - click's own
        examples: Sequence[str],
        **kwargs: Any,  # noqa: ANN401 - click's own
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the commands are for, and examples."""
        super().format_help_text(ctx, formatter)
        _write_lines(formatter, "Examples", [f"$ {example}" for example in self.examples])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write how to set up shell completion."""
        _write_lines(formatter, "Shell completion", _COMPLETION)
        super().format_epilog(ctx, formatter)


def _write_lines(formatter: click.HelpFormatter, title: str, lines: Sequence[str]) -> None:
    """Write a section of lines that are copied: unlike a paragraph, they are not wrapped."""
    with formatter.section(title):
        for line in lines:
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")
