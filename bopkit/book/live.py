"""Join the modules of the live pictures, so that one text serves a page and a kernel.

Each picture is an ES module in `book/_static/live/` that imports what it shares with the others.
A browser imports no module from a page opened as a file, and anywidget takes one text. So the
modules are joined here: without their imports and exports, one after the other.
"""

from __future__ import annotations

import json
import re

from bopkit import book

FOLDER = "book/_static/live"

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const|function)", re.MULTILINE)

# JupyterLab takes an arrow key or a letter from a focused slider, as a command to the notebook. It
# listens above the picture. Ctrl+S and its like still reach it.
_KEYS = (
    'el.addEventListener("keydown", (event) => '
    "{ if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); });"
)


def source(name: str) -> str:
    """Join a module and all that it imports into one text, which imports and exports nothing.

    Args:
        name: of a file in `book/_static/live/`, without its ending.

    Returns:
        JavaScript in which each name of the modules can be used.

    Raises:
        SetupError: bopkit was installed without the repository.
    """
    texts: dict[str, str] = {}

    def add(module):
        if module not in texts:
            text = _read(f"{module}.js")
            for imported in _IMPORT.findall(text):
                add(imported)
            texts[module] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(name)
    return "\n".join(texts.values())


def page_script(name: str) -> str:
    """Make the element that brings a picture to life in a page, served or opened as a file."""
    start = f"document.querySelectorAll('[data-scene=\"{name}\"]').forEach(mount);"
    return f'<script type="module">\n{source(name)}{start}\n</script>'


def widget_module(name: str, html: str) -> str:
    """Make the module that anywidget runs in a notebook with a kernel.

    Args:
        name: as for `source`.
        html: the element that the picture comes to life in.

    Returns:
        An ES module.
    """
    start = f"el.innerHTML = {json.dumps(html)}; mount(el.firstElementChild); {_KEYS}"
    return f"{source(name)}export default {{ render({{ el }}) {{ {start} }} }};\n"


def styles() -> str:
    """Read the style sheet of the interactive pictures."""
    return _read("live.css")


def _read(name):
    return (book.folder(FOLDER) / name).read_text(encoding="utf8")
