"""The `recloser` command group."""

import click

from recloser import __version__
from recloser.cli.client_commands import status, top
from recloser.cli.command import DocumentedGroup
from recloser.cli.demo_command import demo
from recloser.cli.lint_command import lint

__all__ = ["app"]


@click.group(
    cls=DocumentedGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=[
        "recloser demo",
        "recloser status http://shop.example/breakers/",
        "recloser top http://shop.example/breakers/",
        "recloser lint breakers.toml",
    ],
)
@click.version_option(__version__, prog_name="recloser")
def app() -> None:
    """Watch, check and configure circuit breakers."""


for _command in (demo, lint, status, top):
    app.add_command(_command)
