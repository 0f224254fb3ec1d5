"""Builds the documentation site: `python -m sphinx -W --keep-going docs site`."""

from importlib import import_module

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import recloser
from recloser._core.homes import SOURCES

project = "recloser"
author = "The recloser contributors"
copyright = "2026, The recloser contributors"  # noqa: A001 - Sphinx reads this name
version = release = recloser.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.mermaid",
]
exclude_patterns = ["images"]

# Docstrings are written for readers of the source, where single backquotes mean code.
default_role = "code"
autoclass_content = "class"
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "recloser"
html_static_path: list[str] = []


def setup(app: Sphinx) -> None:
    """Shows Sphinx where published names are defined: their order, their attributes and their source are there."""
    for package in ("_fallback", "_policies", "fleet.store.memory", "registry", "testing.explorer"):
        import_module(f"recloser.{package}")
    for name, source in SOURCES.items():
        home = ModuleAnalyzer.for_module(name.rpartition(".")[0])
        found = ModuleAnalyzer.for_module(source)
        for analyzer in (home, found):
            analyzer.analyze()
        for part in ("annotations", "attr_docs", "overloads", "tagorder"):
            vars(home)[part] |= vars(found)[part]
    app.connect("viewcode-follow-imported", source_of)
    app.connect("autodoc-skip-member", is_left_out)


def source_of(_app: Sphinx, module: str, name: str) -> str | None:
    """Returns the module that defines a published class, function or method."""
    return SOURCES.get(f"{module}.{name.partition('.')[0]}")


def is_left_out(_app: Sphinx, _what: str, _name: str, member: object, skip: bool, _options: object) -> bool | None:  # noqa: FBT001
    """Leaves out what its docstring calls internal."""
    return True if (getattr(member, "__doc__", None) or "").startswith("Internal:") else skip or None
