"""Where the server of the demo is: a wheel brings it in this package, a clone has it among its examples."""

import os
import sys
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from examples.mcp_server.upstream import Upstream

__all__ = ["Example", "locate"]


@dataclass(frozen=True, slots=True)
class Example:
    """The package that holds the server.

    Attributes:
        directory: Its files.
        module: Its name.
        search: What must be searched for it, and for the recloser that goes with it.
    """

    directory: Path
    module: str
    search: tuple[Path, ...] = ()

    def command(self, *options: str) -> list[str]:
        """Return the command that serves by stdio."""
        return [sys.executable, "-m", self.module, *options]

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, in which the server is found."""
        path = [*map(str, self.search), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(path)} if path else dict(os.environ)

    def make_upstream(self) -> "Upstream":
        """Return the HTTP services; nothing of the server beside them is imported."""
        spec = spec_from_file_location("recloser_demo_upstream", self.directory / "upstream.py")
        assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a path that ends in .py has a loader
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return cast("Upstream", module.Upstream())


def locate(package: Path = Path(__file__).parent) -> Example:
    """Find the server.

    Args:
        package: The directory of this package.

    Raises:
        FileNotFoundError: It is neither here nor in a clone.
    """
    shipped, clone = package / "server", package.parents[3]
    if shipped.is_dir():
        return Example(shipped, "demos.mcp.server")
    if (clone / "examples" / "mcp_server").is_dir():
        return Example(clone / "examples" / "mcp_server", "examples.mcp_server", (clone / "src", clone))
    message = f"the example server is neither in {package} nor in {clone / 'examples'}"
    raise FileNotFoundError(message)
