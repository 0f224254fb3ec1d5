"""Writes the public API with its signatures into `docs/reference/api.txt`, one line per name.

`python docs/api.py` writes; `python docs/api.py --check` fails if the file differs from the code. The source is parsed,
not imported: the text is the same on every Python and with any set of extras. An object is described in the first of
`MODULES` that exports it; the others refer to that place. What its docstring calls internal is left out. Both commands
print how many names and members there are.
"""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parent.parent / "src"
PAGE = Path(__file__).parent / "reference" / "api.txt"
PACKAGE = SOURCE / "recloser"
MODULES = [
    "recloser",
    *(f"recloser.{path.stem}" for path in sorted(PACKAGE.glob("[a-z]*.py"))),
    "recloser.fleet",
    "recloser.fleet.store",
    "recloser.fleet.store.memory",
    "recloser.dashboard",
    "recloser.telemetry",
    *(f"recloser.telemetry.{path.stem}" for path in sorted((PACKAGE / "telemetry").glob("[a-z]*.py"))),
    *(f"recloser.integrations.{path.stem}" for path in sorted((PACKAGE / "integrations").glob("[a-z]*.py"))),
    "recloser.testing",
    "recloser.testing.explorer",
]
ALL = griffe.ModulesCollection()
# What an object does for Python, and its user never calls.
UNLISTED = {"__eq__", "__hash__", "__init_subclass__", "__post_init__", "__reduce__", "__repr__", "__str__"}


def page() -> str:
    """Return the text of the file, made from the source."""
    extensions = griffe.load_extensions("dataclasses")
    griffe.load(
        "recloser", search_paths=[SOURCE], allow_inspection=False, extensions=extensions, modules_collection=ALL
    )
    homes: dict[str, str] = {}
    for module in MODULES:
        for name in exports(ALL[module]):
            homes.setdefault(resolve(ALL[module], name).path, f"{module}.{name}")
    return "\n\n".join("\n".join(describe_module(module, homes)) for module in MODULES) + "\n"


def describe_module(module: str, homes: dict[str, str]) -> Iterator[str]:
    """Describe what a module exports.

    Args:
        module: The name of the module.
        homes: For each public object, by its path in the source, the public name under which it is described.
    """
    yield f"# {module}"
    for name in sorted(exports(ALL[module])):
        target = resolve(ALL[module], name)
        home = homes[target.path]
        if home != f"{module}.{name}":
            yield f"{name} = {home}"
        elif isinstance(target, griffe.Class):
            bases = list(public_bases(target, homes))
            yield f"class {name}" + (f"({', '.join(bases)})" if bases else "")
            yield from (f"    {line}" for line in describe_members(target))
        elif isinstance(target, griffe.Module):
            for member in sorted(exports(target)):
                yield from describe(f"{name}.{member}", final(target[member]))
        else:
            yield from describe(name, target)


def exports(module: griffe.Object | griffe.Alias) -> list[str]:
    """Return the names in `__all__`; without one, those of the module's public definitions."""
    if module.exports is not None:
        return [str(name) for name in module.exports]
    defined = {name: member for name, member in module.members.items() if not (member.is_alias or member.is_module)}
    return [name for name in defined if not name.startswith("_")]


def resolve(module: griffe.Object | griffe.Alias, name: str) -> griffe.Object:
    """Return the object behind an exported name; a function hides the module that has its name, as in Python."""
    target = final(module[name])
    return final(target[name]) if isinstance(target, griffe.Module) and name in target.members else target


def final(member: griffe.Object | griffe.Alias) -> griffe.Object:
    """Return the object behind a name."""
    return member.final_target if isinstance(member, griffe.Alias) else member


def public_bases(target: griffe.Class, homes: dict[str, str]) -> Iterator[str]:
    """Return the bases of a class as written, and for a private base those that it has in turn."""
    resolved = {base.name: final(base) for base in target.resolved_bases}
    for base in target.bases:
        found = resolved.get(str(base).partition("[")[0])
        if isinstance(found, griffe.Class) and found.path not in homes:
            yield from public_bases(found, homes)
        else:
            yield str(base)


def describe_members(target: griffe.Class) -> Iterator[str]:
    """Describe the public members of a class, inherited ones too."""
    if is_event(target):
        bases = (cls for cls in reversed(target.mro()) if is_event(cls))
        fields = {name: field for cls in (*bases, target) for name, field in cls.attributes.items() if name[0] != "_"}
        arguments = ", ".join(f"{name}: {field.annotation}" for name, field in fields.items())
        yield f"__init__(*, {arguments}) -> None"
    for name, member in sorted(target.all_members.items()):
        found = final(member)
        is_special = name.endswith("__") and isinstance(found, griffe.Function) and name not in UNLISTED
        is_internal = found.docstring is not None and found.docstring.value.startswith("Internal:")
        if (is_special or not name.startswith("_")) and not is_internal:
            yield from describe(name, found)


def is_event(target: griffe.Class) -> bool:
    """Return whether a class is made a dataclass by the decorator of events, which griffe does not know."""
    return any(str(decorator.value) == "_event" for decorator in target.decorators)


def describe(name: str, target: griffe.Object) -> Iterator[str]:
    """Describe a function, one line per overload, or an attribute."""
    if isinstance(target, griffe.Function):
        prefix = "".join(f"{label} " for label in ("classmethod", "staticmethod", "async") if label in target.labels)
        for overload in target.overloads or [target]:
            yield f"{prefix}{name}{signature(overload)}"
    elif isinstance(target, griffe.Attribute):
        yield describe_attribute(name, target)


def signature(target: griffe.Function) -> str:
    """Return the arguments and the return type of a function as the source writes them, without `self`."""
    parameters = list(target.parameters)
    if parameters and parameters[0].name in {"self", "cls"}:
        del parameters[0]
    return str(griffe.Function("", parameters=griffe.Parameters(*parameters), returns=target.returns).signature())


def describe_attribute(name: str, target: griffe.Attribute) -> str:
    """Describe an attribute: its type, and the value of a constant."""
    if "property" in target.labels:
        return f"property {name}: {target.annotation}"
    annotation = None if target.annotation is None else str(target.annotation)
    is_constant = annotation in {None, "Final", "TypeAlias"} and "instance-attribute" not in target.labels
    is_member = annotation is None and "class-attribute" in target.labels
    line = name if annotation is None else f"{name}: {annotation}"
    return f"{line} = {target.value}" if is_constant or is_member else line


def main() -> int:
    """Write the file, or with `--check` compare it."""
    made = page()
    lines = [line for line in made.splitlines() if line and not line.startswith("#")]
    names = {
        re.split(r"[^\w.]", line.removeprefix("class "), maxsplit=1)[0]
        for line in lines
        if line[0] != " " and " = recloser." not in line
    }
    print(f"The public API: {len(names)} names, {sum(line[0] == ' ' for line in lines)} members.")
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    written = PAGE.read_text(encoding="utf-8")
    changes = difflib.unified_diff(written.splitlines(), made.splitlines(), PAGE.name, "the code", lineterm="", n=1)
    if made != written:
        print("\n".join(changes))
        print("The public API has changed. If you mean it: `python docs/api.py`, and a changelog fragment.")
    return int(made != written)


if __name__ == "__main__":
    sys.exit(main())
