"""A small Sphinx extension: what the book's pages need and `_config.yml` has no setting for."""

import copy
import os
import re
from importlib.util import find_spec
from pathlib import Path

from myst_nb.core import render
from sphinx import builders

# The theme draws its dozen icons twice: by a font, and by a script of 1.5 MB that turns each into
# SVG. The font is enough, without its brands, and comes when it is wanted.
ICONS_TWICE = re.compile(
    r"<script[^>]*/fontawesome/[^>]*></script>|<link[^>]*preload[^>]*/fa-[^>]*>"
)

PYTORCH = "bopkit.pytorch"


def stand_in_for_torch(app, config):
    """Document `bopkit.pytorch` where PyTorch is not installed, too."""
    if not find_spec("torch"):
        config.autodoc_mock_imports = ["torch"]


def drop_thebe(app, pagename, templatename, context, doctree):
    """Take out the scripts of Thebe, which runs cells on a server that we do not have.

    Jupyter Book always loads it, and puts it in twice: an uncaught error on every page.
    """
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in str(getattr(script, "filename", script)).lower()
        and "THEBE_JS_URL" not in str(getattr(script, "attributes", {}).get("body"))
    ]


def find_by_last_name(app, env, node, contnode):
    """Link a name in a docstring, `ConfigError` or `errors.ConfigError`, to what documents it."""
    if node.get("refdomain") != "py":
        return None
    python = env.get_domain("py")
    last_name = "." + node["reftarget"].rpartition(".")[-1]
    matches = [name for name in python.objects if name.endswith(last_name)]
    # The optimizers for Keras and those for PyTorch have the same names: each links to its own.
    here = str(node.get("py:module")).startswith(PYTORCH)
    matches = [name for name in matches if name.startswith(PYTORCH) == here] or matches
    if len(matches) != 1:
        return None
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", matches[0], node, contnode)


def skip_fields(app, what, name, obj, skip, options):
    """Leave out what Python itself writes on a named tuple's fields: "Alias for field number 0"."""
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field") else None


# A name for screen readers that hides the one to be seen, and a list that holds more than items.
MISLEADING = re.compile(
    r' aria-label="Toggle hidden content"| role="list"(?= class="citation-list")'
)


def tidy(app, exception):
    """Take out of the pages what weighs too much or misleads."""
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            text = MISLEADING.sub("", ICONS_TWICE.sub("", text))
            page.write_text(text, encoding="utf-8")


def order(app, env, docnames):
    """Put what takes longest last, from where the processes that read pages take it.

    That is the notebooks: those that train with TensorFlow, which stand in the later folders, then
    those with NumPy alone, by name, since the two with the most pictures stand first in it. The
    pages without cells come first, and fill the gaps.
    """
    docnames.sort(reverse=True)
    docnames.sort(
        key=lambda name: (str(env.doc2path(name)).endswith(".ipynb"), name.rpartition("/")[0])
    )


def one_each(docnames, processes, most=10):
    """Sphinx' `make_chunks`, with one page in a chunk: whichever process is free takes the next.

    Ten pages are a chunk otherwise, as if all took alike, and one core waits for the other's last.
    The pages made from docstrings are one: each process would import TensorFlow for its own.
    """
    documented = [name for name in docnames if "/api/" in name]
    chunks = [[name] for name in docnames if name not in documented]
    return [documented, *chunks] if documented else chunks


def one_box(outputs):
    """Join what a cell printed, piece by piece as the kernel sent it, into one output per stream.

    In place of myst-nb's `coalesce_streams`, which begins a new line wherever the kernel happened
    to cut the text, and which changes the executed notebook that the tests compare.
    """
    joined, streams = [], {}
    for output in outputs:
        name = output.get("name") if output["output_type"] == "stream" else None
        if name in streams:
            streams[name]["text"] += output["text"]
            continue
        joined.append(copy.copy(output))
        if name:
            streams[name] = joined[-1]
    for output in streams.values():
        # A line that was written over, as a progress bar is.
        output["text"] = re.sub(r".*\r(?=[^\n])", "", output["text"]).rstrip() + "\n"
    return joined


def use_all_cores(app):
    """Read and write pages in several processes, as `sphinx-build -j` does.

    Jupyter Book's own command has no such option. One more than there are cores: while a notebook's
    kernel starts or ends, or waits for a process of its own, its core would stand still.
    """
    if hasattr(os, "sched_getaffinity"):
        app.parallel = len(os.sched_getaffinity(0)) + 1
    builders.make_chunks = one_each
    # It only numbers sections, once all pages are read, but does not say that it is safe.
    if numbering := app.extensions.get("sphinx_multitoc_numbering"):
        numbering.parallel_read_safe = True


def setup(app):
    """Called by Sphinx."""
    render.coalesce_streams = one_box
    app.connect("config-inited", stand_in_for_torch)
    app.connect("builder-inited", use_all_cores)
    app.connect("env-before-read-docs", order)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("missing-reference", find_by_last_name)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("build-finished", tidy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
