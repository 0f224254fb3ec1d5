"""The command line of `recloser lint`: its options, and what it does."""

import sys

import click

from recloser.cli.command import DocumentedCommand
from recloser.cli.conclusion import concluded
from recloser.cli.exit_codes import NOT_OK, OK, USAGE
from recloser.cli.output import spell_out_what_cannot_be_encoded, write

__all__ = ["lint"]


class _BadFileError(click.ClickException):
    """The file is no configuration."""

    exit_code = USAGE


@click.command(
    cls=DocumentedCommand,
    short_help="Check a configuration file for errors and harmful settings.",
    examples=[
        "recloser lint breakers.toml",
        "recloser lint --json breakers.toml | jq -r '.findings[].path'",
        "generate-configuration | recloser lint -",
    ],
    exit_codes={
        OK: "There are no findings.",
        NOT_OK: "There are findings: settings that are valid but known to cause outages.",
        USAGE: "An argument or an option is wrong, or the file is unreadable or invalid.",
    },
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document instead.")
def lint(file: str, *, as_json: bool) -> None:
    """Check a configuration file for errors and harmful settings.

    FILE is a TOML file for BreakerRegistry.from_config, or - for standard input. Each finding has its path in the
    file, and says what happens and what to set instead. No server is needed.

    Exceptions and predicates are imported by name, also from the current directory, and importing a module runs it.
    Only check a configuration that you trust as much as your code.
    """
    from recloser.cli.lint import BadConfigurationError, check  # noqa: PLC0415 - imports the registry

    with concluded():
        spell_out_what_cannot_be_encoded()
        try:
            with click.open_file(file, "rb") as stream:
                text = stream.read()
            code, output = check("<stdin>" if file == "-" else file, text, as_json=as_json)
        except (BadConfigurationError, OSError) as error:
            raise _BadFileError(str(error)) from None
        write(output)
    sys.exit(code)
