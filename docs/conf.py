"""How `make docs` builds these pages into a site: Sphinx, with Markdown by MyST, in the theme furo, without a network.

The pages are read on GitHub too, so they keep to Markdown that both show. Links to files beside this folder, such as a test
that proves a sentence, become copies in the site.
"""

project = "pfo-pipeline"
author = ""
project_copyright = ""
html_title = "pfo-pipeline"

extensions = ["myst_parser", "sphinx_click"]
source_suffix = {".md": "markdown"}
nitpicky = True
highlight_language = "text"

myst_heading_anchors = 4  # as on GitHub: [..](operations.md#backups)

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["tables.js"]
html_copy_source = False
html_use_index = False
html_show_search_summary = False  # it is fetched, which a browser refuses to a page from the disk
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
smartquotes = False  # commands and messages are copied as they stand


def setup(app):
    """Show the examples of a command's help as a block to copy: sphinx-click makes lines of prose of them."""
    app.connect("sphinx-click-process-epilog", _examples_as_block)


def _examples_as_block(_app, _context, lines):
    if lines[:1] == ["| Examples:"]:
        lines[:] = [
            ".. rubric:: Examples",
            "",
            ".. code-block:: text",
            "",
            *(line.removeprefix("|") for line in lines[1:]),
        ]
