"""Writes what a terminal shows as a picture, for the other scripts."""

import re
from collections.abc import Callable
from pathlib import Path

from rich.console import Console


def write_terminal(path: Path, width: int, title: str, show: Callable[[Console], object]) -> None:
    """Write the picture of a terminal.

    Args:
        path: Where to write; the name of the file also makes the ids in the SVG.
        width: The number of columns.
        title: The title of the window.
        show: Prints on the console that it receives.
    """
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=width, file=nowhere, force_terminal=True, color_system="truecolor")
        show(console)
    svg = console.export_svg(title=title, unique_id=path.stem)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # which would be loaded from elsewhere
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")
