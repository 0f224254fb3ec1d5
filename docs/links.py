"""Keeps the links right by which pages name functions, classes and tests: [`name`](../path/of/its/file.py).

`python docs/links.py` leads each link to the file that defines the name, where it has moved; `--check` changes nothing.
Both fail on a name that is defined nowhere, or in several files of which the link names none.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
SOURCES = ("benchmarks", "src", "tests", "tools")
LINK = re.compile(r"\[`(?P<name>[A-Za-z_][\w.]*)(?P<call>(?:\(\))?)`\]\((?P<target>[^)#]+\.py)\)")

Definition = ast.AsyncFunctionDef | ast.ClassDef | ast.FunctionDef


def main() -> int:
    """Check all pages, or correct them; print what is wrong."""
    homes = find_homes()
    problems: list[str] = []
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        corrected = LINK.sub(partial(correct, page, homes, problems), text)
        if corrected != text and "--check" in sys.argv[1:]:
            problems.append(f"{page.relative_to(ROOT)}: a link leads to a file that its name has left")
        elif corrected != text:
            page.write_text(corrected, encoding="utf-8")
    print(*problems, sep="\n", end="\n" if problems else "")
    return int(bool(problems))


def find_homes() -> dict[str, set[Path]]:
    """Return the files that define each name, for a method also with its class in front."""
    homes: defaultdict[str, set[Path]] = defaultdict(set)
    for path in (path for source in SOURCES for path in (ROOT / source).rglob("*.py")):
        for name in names_in(ast.parse(path.read_text(encoding="utf-8")).body):
            homes[name].add(path)
            homes[name.rpartition(".")[2]].add(path)
    return homes


def names_in(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    """Return the names that a module or a class defines."""
    for node in body:
        if isinstance(node, Definition):
            yield within + node.name
        if isinstance(node, ast.ClassDef):
            yield from names_in(node.body, f"{within}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (within + target.id for target in targets if isinstance(target, ast.Name))


def correct(page: Path, homes: dict[str, set[Path]], problems: list[str], link: re.Match[str]) -> str:
    """Return a link as it should be; note a problem that only a person can solve."""
    name, target = link["name"], (page.parent / link["target"]).resolve()
    found = homes.get(name, set())
    if target in found:
        return link[0]
    if len(found) != 1:
        where = "nowhere" if not found else f"in {len(found)} files, and not in {link['target']}"
        problems.append(f"{page.relative_to(ROOT)}: {name} is defined {where}")
        return link[0]
    path = Path(os.path.relpath(next(iter(found)), page.parent)).as_posix()
    return f"[`{name}{link['call']}`]({path})"


if __name__ == "__main__":
    sys.exit(main())
