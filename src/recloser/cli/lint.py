"""`recloser lint`: checks a configuration without a server, as `BreakerRegistry.from_config` reads it."""

import json
import sys
import tomllib
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

from recloser import BreakerRegistry
from recloser.cli.client.formatting import printable
from recloser.cli.exit_codes import NOT_OK, OK
from recloser.errors import ConfigurationWarning

__all__ = ["BadConfigurationError", "check"]

_VERSION = 1


class BadConfigurationError(Exception):
    """A configuration can't be loaded; the message says why, with the path in the file."""


@dataclass(frozen=True, slots=True)
class _PlacedFinding:
    """A harmful setting, at its path in the file."""

    path: str
    value: float
    message: str

    def __str__(self) -> str:
        return f"{self.path} = {self.value:g}: {self.message}"


def check(name: str, text: bytes, *, as_json: bool) -> tuple[int, str]:
    """Return what is harmful in a configuration, as an exit code and as text.

    Args:
        name: The name of the file.
        text: The configuration, in TOML.
        as_json: Return a JSON document as the text.

    Raises:
        BadConfigurationError: The configuration can't be loaded.
    """
    try:
        tables = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise BadConfigurationError(printable(f"{name} is not TOML: {error}")) from error
    try:
        with _importing():
            found = list(_findings(tables))
    except (Exception, SystemExit) as error:
        kind = "" if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: "
        raise BadConfigurationError(printable(f"{name}: {kind}{error}")) from error
    if as_json:
        output = json.dumps({"version": _VERSION, "file": name, "findings": [asdict(each) for each in found]})
    else:
        lines = [str(finding) for finding in found] or ["no findings"]
        output = "\n".join(printable(f"{name}: {line}") for line in lines)
    return NOT_OK if found else OK, output


@contextmanager
def _importing() -> Generator[None]:
    """Let the configuration import from the current directory; what the modules print does not join the findings.

    Yields:
        Nothing.
    """
    directory = str(Path.cwd())
    sys.path.insert(0, directory)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path.remove(directory)


def _findings(tables: dict[str, object]) -> Iterator[_PlacedFinding]:
    """Iterate over the findings of a configuration, in the order of its warnings, which have the paths."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfigurationWarning)
        BreakerRegistry.from_config(tables)  # runs imported modules, so that the warnings below are not theirs
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConfigurationWarning)
        registry = BreakerRegistry.from_config(tables)
    ends = {f" = {finding.value:g}: {finding.message}": finding for finding in registry.lint()}
    for text in (str(warning.message) for warning in caught if warning.category is ConfigurationWarning):
        end, finding = next(item for item in ends.items() if text.endswith(item[0]))
        yield _PlacedFinding(text.removesuffix(end), finding.value, finding.message)
