"""A Sphinx extension for the playground, which trains a binary network in the page.

    ```{playground}
    ```

The modules in `_static/playground` become one classic script, and the digits another: a page opened
as a file may load neither modules nor data. The page's worker is made from the script's own text.
"""

import re
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from bopkit.book import playground, style

MODULES = Path(__file__).resolve().parents[1] / "_static" / "playground"
# In the order in which they need each other. Those of the engine run in the worker too.
ENGINE = ("network", "rules", "run", "settings")
PAGE = ("charts", "trainee", "controls", "page")

START = """
const root = document.querySelector(".bop-playground");
if (root) {
  const text = `(${engine})().$run.serve(self)`;
  const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const data = $network.decode(globalThis.bopDigits);
  $page.start(root, { makeWorker: () => new Worker(address), data });
}
"""


def bundle() -> str:
    """All modules as one classic script, which leaves its engine in `bopEngine`."""
    names = ", ".join(map("${}".format, ENGINE))
    engine = "\n".join(map(_scope, ENGINE))
    return "\n".join(
        [
            "(() => {",
            f"const engine = function () {{\n{engine}\nreturn {{ {names} }};\n}};",
            f"const {{ {names} }} = (globalThis.bopEngine = engine());",
            *map(_scope, PAGE),
            START,
            "})();\n",
        ]
    )


def _scope(name):
    """One module as a constant that holds its exports."""
    text = (MODULES / f"{name}.js").read_text(encoding="utf8")
    exports = re.findall(r"^export (?:const|function|class) (\w+)", text, re.MULTILINE)
    text = re.sub(r'^import (\{[^}]*\}) from "\./(\w+)\.js";', r"const \1 = $\2;", text, flags=re.M)
    text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    return f"const ${name} = (() => {{\n{text}\nreturn {{ {', '.join(exports)} }};\n}})();"


class PlaygroundDirective(SphinxDirective):
    """Puts the playground into a page; without JavaScript a still picture and its description."""

    def run(self):
        """The still picture as raw HTML, and a note that the page needs the scripts."""
        self.env.metadata[self.env.docname]["playground"] = "yes"
        figure = playground.still()
        html = (
            '<div class="bop-playground"><div class="bop-still bop-figure">'
            f"{style.inline_svg(figure)}<p>{escape(figure.description)}</p></div>"
            "<noscript><p>With JavaScript on, the network trains here.</p></noscript></div>"
        )
        return [nodes.raw("", html, format="html")]


def write_scripts(app):
    """Make both scripts where the pages look for them."""
    if app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        static.mkdir(parents=True, exist_ok=True)
        (static / "playground.js").write_text(bundle(), encoding="utf8")
        (static / "digits.js").write_text(playground.digits_script(), encoding="utf8")


def load_scripts(app, pagename, templatename, context, doctree):
    """Load the scripts on the playground's page alone."""
    if (context.get("meta") or {}).get("playground"):
        app.add_css_file("playground/playground.css")
        app.add_js_file("digits.js", defer="defer")
        app.add_js_file("playground.js", defer="defer")


def setup(app):
    """Called by Sphinx."""
    app.add_directive("playground", PlaygroundDirective)
    app.connect("builder-inited", write_scripts)
    app.connect("html-page-context", load_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
