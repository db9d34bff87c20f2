"""A Sphinx extension: what a published book needs beside its pages, because it has an address.

`BOPKIT_BOOK_URL` names the address, such as `https://example.org/bop/`. Each page then names its
own address and a picture that is shown where a link to the page is shared, and `sitemap.xml` lists
the pages for search engines. A book that is built for reading at home has no address, and so none
of these.
"""

import os
import re
import sys
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from sphinx.errors import ConfigError

VARIABLE = "BOPKIT_BOOK_URL"
CARDS = "_static/cards"  # in the built book
NOT_PAGES = {"genindex", "search", "py-modindex"}


def read_address(app, config):
    """Take the book's address from the environment, as Sphinx' own setting."""
    address = os.environ.get(VARIABLE, "").strip()
    if address and not address.startswith(("https://", "http://")):
        raise ConfigError(
            f"{VARIABLE} must be the book's address, such as https://example.org/bop/; "
            f"got {address}"
        )
    config.html_baseurl = f"{address.rstrip('/')}/" if address else ""


def parts(app):
    """The part of the book that each page stands in, by the page's name."""
    found = {}
    toc = app.config.external_site_map
    for tree in toc.root.subtrees:
        todo = list(tree.items)
        while todo:
            name = todo.pop()
            found[name] = tree.caption
            todo += [item for sub in getattr(toc.get(name), "subtrees", []) for item in sub.items]
    return found


def add_address(app, pagename, templatename, context, doctree):
    """Write a page's address and its picture where messengers look."""
    if not app.config.html_baseurl or doctree is None:
        return
    card = f"{app.config.html_baseurl}{CARDS}/{pagename.replace('/', '-')}.png"
    pairs = [("property", "og:url", context["pageurl"]), ("property", "og:image", card)]
    pairs += [("property", "og:image:width", "1200"), ("property", "og:image:height", "630")]
    pairs += [("property", "og:image:alt", f"{context['title']}, above cells of blue and white")]
    pairs += [("name", "twitter:card", "summary_large_image")]
    context["metatags"] += "".join(
        f'<meta {kind}="{name}" content="{escape(re.sub("<[^>]*>", "", value))}" />\n'
        for kind, name, value in pairs
    )


def publish(app, exception):
    """Draw each page's picture, and list the pages."""
    if exception or not app.config.html_baseurl or app.builder.format != "html":
        return
    sys.path.append(str(Path(__file__).parent.parent / "_art"))
    import card

    folder = Path(app.outdir) / CARDS
    folder.mkdir(parents=True, exist_ok=True)
    part = parts(app)
    listed = ElementTree.Element("urlset", xmlns="http://www.sitemaps.org/schemas/sitemap/0.9")
    for name in sorted(app.env.found_docs - NOT_PAGES):
        path = folder / f"{name.replace('/', '-')}.png"
        card.draw(app.env.titles[name].astext(), part.get(name) or "", path)
        address = app.config.html_baseurl + app.builder.get_target_uri(name)
        ElementTree.SubElement(ElementTree.SubElement(listed, "url"), "loc").text = address
    tree = ElementTree.ElementTree(listed)
    tree.write(Path(app.outdir) / "sitemap.xml", encoding="utf-8", xml_declaration=True)


def setup(app):
    """Called by Sphinx."""
    app.connect("config-inited", read_address)
    app.connect("html-page-context", add_address, priority=800)  # after the page's description
    app.connect("build-finished", publish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
