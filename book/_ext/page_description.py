"""A Sphinx extension: each page says in one or two sentences what it is about.

Search engines and messengers show these sentences below the page's title. They are the page's own
first sentences, without those that hold formulas.
"""

import re
from html import escape

from docutils import nodes

LONGEST = 200  # letters that a search engine shows, more or less


def describe(document):
    """The first sentences of a page, as many as fit; empty if it has no sentence that fits."""
    found = ""
    for paragraph in document.findall(nodes.paragraph):
        if not isinstance(paragraph.parent, nodes.section | nodes.container | nodes.document):
            continue  # a cell of a table, a list, a note
        if isinstance(next(iter(paragraph.children), None), nodes.emphasis):
            continue  # a picture's caption
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(paragraph.astext().split())):
            # No formula, no heading in bold such as "The command.", and nothing cut off.
            if "\\" in sentence or len(sentence.split()) < 4 or sentence[-1] not in ".!?":
                continue
            if len(found) + len(sentence) + 1 > LONGEST:
                return found
            found = f"{found} {sentence}".strip()
    return found


def add_description(app, pagename, templatename, context, doctree):
    """Write the sentences and the title where search engines and messengers look."""
    if doctree is None or not (text := describe(doctree)):
        return
    title = re.sub(r"<[^>]*>", "", context.get("title", ""))
    pairs = [("name", "description", text), ("property", "og:description", text)]
    pairs += [("property", "og:title", title), ("property", "og:site_name", app.config.project)]
    pairs.append(("property", "og:type", "website" if pagename.endswith("index") else "article"))
    context["metatags"] += "".join(
        f'<meta {kind}="{name}" content="{escape(value)}" />\n' for kind, name, value in pairs
    )


def setup(app):
    """Called by Sphinx."""
    app.connect("html-page-context", add_description)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
