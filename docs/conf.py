"""The settings of Sphinx for this site: `make docs` builds it into docs/_build/html."""

import os
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "src"
BUILD = DOCS / "_build"
sys.path[:0] = [str(DOCS.parent), str(SOURCE)]

from depthlab import __version__  # noqa: E402

# the cells of the tutorials run this checkout, in an empty project that is removed at the end
HOME = tempfile.TemporaryDirectory(prefix="depthlab-")
os.environ |= {
    "DEPTHLAB_HOME": HOME.name,
    "PYTHONPATH": str(SOURCE),
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    "GIT_PYTHON_REFRESH": "quiet",
    "COLUMNS": "100",
}

project = "depthlab"
author = "depthlab contributors"
copyright = author
version = release = __version__
root_doc = "index"
default_role = "code"  # `x` in docstrings
exclude_patterns = ["_build", "**/_*"]
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",  # equations without a network
    "docs.fill",  # numbers and tables from results/ and from the settings
]

html_theme = "furo"
html_title = "depthlab"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence", "attrs_block"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(BUILD / "cells")
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
suppress_warnings = ["misc.highlighting_failure"]  # of `!command \\`: the lexer of notebooks knows no continued lines
nb_output_stderr = "remove"  # warnings name folders of this machine; errors stop the build all the same

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signatures of Tensor functions repeat their docstrings
autodoc_mock_imports: list[str] = []
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
nitpicky = False
linkcheck_ignore = [r"https?://.*"]  # only links within the site are checked, offline
