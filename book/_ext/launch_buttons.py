"""A Sphinx extension: each notebook's page can be run, on Binder or at home.

Where the book is built from a public repository, notebook pages get the theme's launch button.
Where that repository is follows from the git remote, so that a fork's book opens the fork. Without
one, a line under the title says how to run the page.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sphinx.util import logging

LOGGER = logging.getLogger(__name__)

OVERRIDE = "BOPKIT_REPOSITORY"  # an address that counts instead of the remote's; empty: none

# Hosts whose repositories both the theme and mybinder.org know how to link.
HOSTS = ("github.com", "gitlab.com")

# What git takes: https://HOST/OWNER/NAME, ssh://git@HOST/OWNER/NAME and git@HOST:OWNER/NAME. A
# user, a password or a token in front of the host is read over: none of it may reach a page.
REMOTE = re.compile(
    r"""(?: (?:https|ssh):// (?:[^/\s]*@)? (?P<host>[\w.-]+) (?::\d+)? /
          | (?:[^/:@\s]+@)? (?P<ssh_host>[\w.-]+) : /? )
        (?P<owner>\w[\w.-]*) / (?P<name>[\w.-]+?) (?:\.git)? /?""",
    re.VERBOSE | re.ASCII,
)

RUN_AT_HOME = (
    '<p class="run-at-home" style="color: var(--pst-color-text-muted); font-size: 0.9em">'
    "To run this page: <code>make lab</code> in a copy of the repository.</p>"
)


def web_address(remote: str) -> str | None:
    """Where a browser finds the repository of a git remote.

    Args:
        remote: what git calls the remote's URL.

    Returns:
        `https://HOST/OWNER/NAME`, or `None` if it is not on a public host that can be linked.
    """
    match = REMOTE.fullmatch(remote.strip())
    host = match and (match["host"] or match["ssh_host"]).lower()
    return f"https://{host}/{match['owner']}/{match['name']}" if host in HOSTS else None


def repository(folder: str | os.PathLike, environment: Mapping[str, str]) -> str | None:
    """The public address of the repository in a folder.

    Args:
        folder: the top of the working tree. Below some other repository's top there is nothing
            to find: a link would lead to that one.
        environment: variables; `BOPKIT_REPOSITORY` comes before the remote.

    Returns:
        As `web_address`.

    Raises:
        ValueError: `BOPKIT_REPOSITORY` is set, and is not such an address.
    """
    if OVERRIDE in environment:
        given = environment[OVERRIDE].strip()
        address = web_address(given)
        if given and not address:
            raise ValueError(
                f"{OVERRIDE} must be https://HOST/OWNER/NAME with HOST one of {', '.join(HOSTS)}, "
                f"or empty for no launch buttons; got {given!r}."
            )
        return address
    if not (Path(folder) / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "remote", "get-url", "origin"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:  # a machine without git
        return None
    return web_address(asked.stdout) if asked.returncode == 0 else None


def theme_options(address: str) -> dict:
    """What sphinx-book-theme needs for its buttons.

    HEAD is the default branch to GitHub, GitLab and Binder alike. The branch that the book happens
    to be built from may exist on this machine only.
    """
    return {
        "repository_url": address,
        "repository_branch": "HEAD",
        "path_to_docs": "",
        "use_repository_button": True,
        "launch_buttons": {
            "binderhub_url": "https://mybinder.org",
            "notebook_interface": "jupyterlab",
        },
    }


def choose(app, config):
    """Switch the theme's buttons on, if there is a place for them to lead to."""
    try:
        address = repository(app.srcdir, os.environ)
    except ValueError as error:
        LOGGER.warning(error)  # one line; Jupyter Book shows an exception's whole traceback
        return
    if address:
        config.html_theme_options.update(theme_options(address))
        LOGGER.info("launch buttons: %s on Binder", address)
    else:
        LOGGER.info("no launch buttons: the git remote `origin` has no public address")


def no_button_for_text(app, pagename, templatename, context, doctree):
    """Hide from the theme that a page in Markdown runs code: JupyterLab would open it as text."""
    if not _is_notebook(app, pagename):
        app.env.metadata[pagename].pop("kernelspec", None)


def say_how_to_run(app, pagename, templatename, context, doctree):
    """On a notebook's page, where there is no button."""
    # Not by repository_url, for which Jupyter Book has a default: its own repository.
    on_binder = app.config.html_theme_options.get("launch_buttons", {}).get("binderhub_url")
    if _is_notebook(app, pagename) and not on_binder:
        context["body"] = context["body"].replace("</h1>", f"</h1>\n{RUN_AT_HOME}", 1)


def _is_notebook(app, pagename):
    return str(app.env.doc2path(pagename)).endswith(".ipynb")


def setup(app):
    """Called by Sphinx."""
    app.connect("config-inited", choose)
    app.connect("html-page-context", no_button_for_text, priority=400)  # the theme's turn is later
    app.connect("html-page-context", say_how_to_run)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
