"""Standard output, as the commands for scripts write to it."""

import io
import os
import sys

import click

__all__ = ["spell_out_what_cannot_be_encoded", "write"]


def spell_out_what_cannot_be_encoded() -> None:
    """Let standard output write characters that its encoding lacks as escapes instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Write a text and a newline. If nothing reads the output, the command goes on, and keeps its exit code."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
