"""A small Sphinx extension: what the book's pages need and `_config.yml` has no setting for."""

import itertools
import os
import re
from pathlib import Path

from sphinx.util.parallel import make_chunks

# The theme draws its dozen icons twice: by a font, and by a script of 1.5 MB that turns each into
# SVG. The font is enough, without its brands, and comes when it is wanted.
ICONS_TWICE = re.compile(
    r"<script[^>]*/fontawesome/[^>]*></script>|<link[^>]*preload[^>]*/fa-[^>]*>"
)


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
    """Link a bare name in a docstring, `ConfigError`, to the one page that documents it."""
    if node.get("refdomain") != "py":
        return None
    python = env.get_domain("py")
    last_name = "." + node["reftarget"]
    matches = [name for name in python.objects if name.endswith(last_name)]
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


def deal(app, env, docnames):
    """Deal the notebooks evenly to the processes that read pages.

    Sphinx cuts the list of pages, sorted by name, into runs, one for a process at a time: the
    notebooks, which take all the time, stand together there.
    """
    hands = [[] for _ in make_chunks(docnames, app.parallel)]
    room = [len(chunk) for chunk in make_chunks(docnames, app.parallel)]
    for name in sorted(docnames, key=lambda name: not str(env.doc2path(name)).endswith(".ipynb")):
        hand = min((len(h), i) for i, h in enumerate(hands) if len(h) < room[i])[1]
        hands[hand].append(name)
    docnames[:] = itertools.chain.from_iterable(hands)


def use_all_cores(app):
    """Read and write pages in as many processes as there are cores, as `sphinx-build -j auto` does.

    Jupyter Book's own command has no such option.
    """
    app.parallel = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    # It only numbers sections, once all pages are read, but does not say that it is safe.
    if numbering := app.extensions.get("sphinx_multitoc_numbering"):
        numbering.parallel_read_safe = True


def setup(app):
    """Called by Sphinx."""
    app.connect("builder-inited", use_all_cores)
    app.connect("env-before-read-docs", deal)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("missing-reference", find_by_last_name)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("build-finished", tidy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
