"""A Sphinx extension: numbers keep their units and their signs, wherever a page's text comes from.

A line of text may end at any space. So "71.3 %", "-1.8 ± 1.4" and "γ = 0.1" would be split between
two lines, and a phone has many lines. The spaces inside them become no-break spaces, and the hyphen
before a number becomes a minus sign. A line may also end between a formula and the comma behind it,
so these two stay together. Text that a cell prints is treated like the text around it, so "27%" in
a table of a cell becomes "27 %".
"""

import re

from docutils import nodes
from sphinx.addnodes import desc_signature
from sphinx.transforms.post_transforms import SphinxPostTransform

RULES = [
    (re.compile(r"(?<=\d)\s?(?=%)"), "\u00a0"),
    (re.compile(r"(?<=\d)\s(?=(?:[kKMGT]i?B|ms|µs)\b)"), "\u00a0"),
    (re.compile(r"\s?±\s(?=\d)"), "\u00a0±\u00a0"),
    (re.compile(r"(?<=\b[γτσηλμc])\s=\s(?=[-−+]?\d)"), "\u00a0=\u00a0"),
    (re.compile(r"(?<![^\s(])-(?=\d)"), "−"),
    # A word joiner: no line ends after the hyphen of top-1 and CIFAR-10.
    (re.compile(r"(?:(?<=\btop-)|(?<=\bCIFAR-))(?=\d)"), "\u2060"),
]
# A reader copies these, or a program reads them.
VERBATIM = (nodes.literal, nodes.FixedTextElement, nodes.raw, nodes.math, desc_signature)

MARKS = re.compile(r"[,.;:)?!]+")  # what belongs to the formula before it
BREAKABLE = 40  # characters of LaTeX from which a formula may fill a phone's line, and must break


def tidy(text: str) -> str:
    """Join the numbers of a text to their units, and give them minus signs."""
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    return text


class Typography(SphinxPostTransform):
    """Apply the rules to every piece of text of a page."""

    default_priority = 900

    def run(self, **kwargs):
        """Called by Sphinx, for each page that it writes."""
        for text in list(self.document.findall(nodes.Text)):
            if (new := tidy(text)) != text and not _verbatim(text):
                text.parent.replace(text, nodes.Text(new))
        for formula in list(self.document.findall(nodes.math)):
            if len(formula.astext()) < BREAKABLE:
                _keep_marks(formula)


def _keep_marks(formula):
    """Put a formula and the punctuation behind it into one box that no line's end divides."""
    after = formula.next_node(descend=False, siblings=True)
    marks = MARKS.match(after) if isinstance(after, nodes.Text) else None
    if marks:
        parent = formula.parent
        parent.replace(after, nodes.Text(after[marks.end() :]))
        box = nodes.inline("", "", classes=["nowrap"])
        parent.replace(formula, box)
        box += [formula, nodes.Text(marks.group())]


def _verbatim(node):
    """Whether a node stands inside code, or in anything else that must stay as it is."""
    while node := node.parent:
        if isinstance(node, VERBATIM):
            return True
    return False


def setup(app):
    """Called by Sphinx."""
    app.add_post_transform(Typography)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
