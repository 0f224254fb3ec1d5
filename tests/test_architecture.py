"""The architecture page: the tree that it draws is the tree that there is."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "recloser"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

DRAWN_WHOLE = ("_core", "_breaker", "_registry")
FOUND_AT_ONCE = {"__init__.py", "__main__.py", "__pycache__", "py.typed"}


def test_every_file_that_the_tree_names_exists() -> None:
    assert [path for path in drawn() if not (SOURCE / path).exists()] == []


def test_the_tree_names_every_package_and_the_modules_of_those_that_it_draws_whole() -> None:
    there = {path.name for path in SOURCE.iterdir()}
    for package in DRAWN_WHOLE:
        there |= {f"{package}/{path.name}" for path in (SOURCE / package).iterdir()}
    named = {path.rstrip("/") for path in drawn()}
    assert {path for path in there if path not in named and Path(path).name not in FOUND_AT_ONCE} == set()


def drawn() -> list[str]:
    """Returns the paths in the tree, relative to the package: by their indentation, and those that a remark names."""
    tree = PAGE.split("src/recloser/\n")[1].split("```")[0]
    found, package = [], ""
    for line in tree.splitlines():
        depth = len(line) - len(line.lstrip())
        name, remark = (*line.strip().split(maxsplit=1), "")[:2]
        if depth == 2:
            package = name if name.endswith("/") else ""
        within = package if depth > 2 or name == package else ""
        found.append(name if name == package else within + name)
        inner = f"{within}{name}" if name.endswith("/") and name != package else within
        found += [inner + other for other in re.findall(r"\w+\.py", remark)]
    return found
