"""Builds the documentation site: `python -m sphinx -W --keep-going docs site`."""

import recloser

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
