"""A Sphinx extension for the book's interactive pictures.

It tells the kernels of the notebooks that what they show goes into a page
(`bopkit.book.style.in_page`), loads the script that moves the pictures, and adds a directive for
pages that are not notebooks:

    ```{explorer} two_rules
    ```
"""

import os

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from bopkit.book import pictures, widgets


class ExplorerDirective(SphinxDirective):
    """Puts one picture, by its name, into a page."""

    required_arguments = 1

    def run(self):
        """The picture as raw HTML."""
        try:
            html = widgets.page_html(pictures.get(self.arguments[0]))
        except ValueError as error:
            raise self.error(str(error)) from error
        return [nodes.raw("", html, format="html")]


def setup(app):
    """Called by Sphinx."""
    os.environ["BOPKIT_PAGE"] = "1"
    app.add_directive("explorer", ExplorerDirective)
    app.add_js_file("explorer.js", defer="defer")
    app.add_css_file("live/live.css")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
