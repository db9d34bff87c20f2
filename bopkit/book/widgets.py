"""Show the interactive pictures of the book, in a page or in a notebook.

The browser computes cheap pictures, such as one weight on hundreds of streams, at every move of a
slider. The same JavaScript (`bopkit.book.live`) does this in a page and in a notebook. A picture
that is expensive to compute, such as a training run, is shown in one of three ways:

- With a live kernel, ipywidgets' sliders move the picture, and Python draws it again at every move.
- In a page of the book, which has no kernel, the page contains every picture that the sliders can
  reach. The book's build draws them, and `book/_static/explorer.js` shows one at a time.
- Without JavaScript, the page shows the picture at the sliders' start, and says in words what it
  shows.

A page uses the browser's own sliders and not ipywidgets' embedded state. The browser's sliders work
with a keyboard, a finger and a screen reader, and they need no widget manager of 3 MB. Without
JavaScript there is still a picture to see.
"""

from __future__ import annotations

import base64
import json
import zlib
from html import escape

import anywidget
import ipywidgets

from bopkit.book import live, pictures, style
from bopkit.book.pictures.scene import Scene, Slider


def explore(name: str) -> Live | Computed | Page:
    """Show an interactive picture, as the last line of a cell.

    Args:
        name: one of `bopkit.book.pictures.NAMES`.

    Returns:
        A `Live` widget, or a `Computed` one if the browser computes the picture; while the book is
        built, a `Page`.

    Raises:
        ValueError: there is no such picture.

    Example:
        >>> from bopkit.book import widgets
        >>> widget = widgets.explore("gamma_tau")
        >>> type(widget).__name__
        'Computed'
    """
    scene = pictures.get(name)
    if style.in_page():
        return Page(scene)
    return Computed(scene) if scene.live else Live(scene)


class Computed(anywidget.AnyWidget):
    """Show in a notebook a picture that the browser computes, as it does in a page.

    Args:
        scene: the picture; one whose `live` is true.

    Example:
        >>> widget = Computed(pictures.get("gamma_tau"))
        >>> isinstance(widget, ipywidgets.DOMWidget)
        True
    """

    def __init__(self, scene: Scene):
        # anywidget sends these two to the browser
        self._esm = live.widget_module(scene.name, _frame(scene))
        self._css = live.styles()
        super().__init__()


class Live(ipywidgets.VBox):
    """Show in a notebook sliders and a picture that Python draws again at every move.

    Args:
        scene: the picture.

    Attributes:
        controls: ipywidgets' control for each slider, by the slider's name.
        picture: an `ipywidgets.HTML` with the figure as it is now, and its description.

    Example:
        >>> widget = Live(pictures.get("votes"))
        >>> widget.controls["gamma"].value = 0.1  # as a move of the slider does
        >>> "γ = 0.1" in widget.picture.value
        True
    """

    def __init__(self, scene: Scene):
        self.scene = scene
        self.controls = {slider.name: _control(slider) for slider in scene.sliders}
        self.picture = ipywidgets.HTML()
        for control in self.controls.values():
            control.observe(self._draw, names="value")
        super().__init__([*self.controls.values(), self.picture])
        self._draw()

    def _draw(self, change=None):
        values = {name: control.value for name, control in self.controls.items()}
        figure = self.scene.picture(**values)
        # JupyterLab's own ink and paper, so that the picture fits a dark one too.
        self.picture.value = (
            '<div style="max-width: 46rem; --bop-ink: var(--jp-ui-font-color1);'
            " --bop-muted: var(--jp-ui-font-color2); --bop-grid: var(--jp-border-color2);"
            ' --bop-paper: var(--jp-layout-color0); --bop-sans: var(--jp-ui-font-family)">'
            f"{style.inline_svg(figure)}<p>{escape(figure.description)}</p></div>"
        )


def _control(slider: Slider):
    """The ipywidget for one slider."""
    look = {
        "description": slider.label,
        "style": {"description_width": "12rem"},
        "layout": ipywidgets.Layout(width="36rem", max_width="100%"),
    }
    if slider.is_choice:
        return ipywidgets.ToggleButtons(options=slider.values, value=slider.start, **look)
    options = [(slider.text(value), value) for value in slider.fine_values()]
    return ipywidgets.SelectionSlider(options=options, value=slider.start, **look)


class Page:
    """Show an interactive picture in a page, as HTML that needs no kernel.

    Args:
        scene: the picture.

    Example:
        >>> page = Page(pictures.get("gamma_tau"))
        >>> page._repr_html_()[:33]  # Jupyter asks for it
        '<div class="bop-explorer bop-live'
    """

    def __init__(self, scene: Scene):
        self.scene = scene

    def _repr_html_(self):
        return page_html(self.scene)


def page_html(scene: Scene) -> str:
    """Write a picture as one `<div class="bop-explorer">`, which needs no kernel and no internet.

    Args:
        scene: the picture. It is drawn once for each combination of its sliders' values, or only at
            their start if the browser computes the rest.

    Returns:
        HTML: the sliders (hidden until the script has taken them over), the first picture, its
        description, and the packed pictures or the script that computes them.
    """
    if scene.live:
        return _frame(scene) + live.page_script(scene.name)
    frames = []
    for values in scene.grid():
        figure = scene.picture(**values)
        frames.append((style.inline_svg(figure), figure.description))
    packed = f'<script type="application/octet-stream">{_pack(frames)}</script>'
    return _frame(scene, packed)


def _frame(scene, packed=""):
    """The sliders, the picture at their start, and its description."""
    figure = scene.picture(**scene.start)
    controls = "".join(_field(scene, slider) for slider in scene.sliders)
    if scene.data:
        text = json.dumps(scene.data(), ensure_ascii=False).replace("<", "\\u003c")
        packed += f'<script type="application/json">{text}</script>'
    says = escape(figure.description).replace(" %", "\u00a0%")  # no line ends before the sign
    return (
        f'<div class="bop-explorer{" bop-live" if scene.live else ""}" data-scene="{scene.name}">'
        f'<form class="bop-controls" hidden>{controls}</form>'
        f'<div class="bop-picture">{style.inline_svg(figure)}</div>'
        f'<p class="bop-says" aria-live="polite">{says}</p>'
        f"<noscript><p>With JavaScript on, this picture moves.</p></noscript>{packed}</div>"
    )


def _pack(frames) -> str:
    """Pack all pictures into text: JSON, deflated, in base64. The last slider moves fastest.

    The pictures of a scene share most of their elements (axes, grid, labels): `parts` holds each
    once, and a picture is a list of numbers of parts. Deflate by itself would not find the
    repetition, because its memory of 32 KB is shorter than a picture.
    """
    parts: dict[str, int] = {}
    packed = [
        [[parts.setdefault(part, len(parts)) for part in svg.split("<")[1:]], description]
        for svg, description in frames
    ]
    text = json.dumps({"parts": list(parts), "frames": packed}, ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _field(scene: Scene, slider: Slider) -> str:
    """The page's own control for one slider, with its values as text."""
    start = slider.values.index(slider.start)
    texts = [slider.text(value) for value in slider.values]
    label = escape(slider.label)
    values = ""
    if scene.live:  # its module reads them
        stops = escape(json.dumps(slider.values, ensure_ascii=False))
        values = f' data-name="{slider.name}" data-values="{stops}"'
    if slider.is_choice:
        buttons = "".join(
            f'<label><input type="radio" name="{scene.name}-{slider.name}" value="{i}"'
            f"{' checked' if i == start else ''}><span>{escape(text)}</span></label>"
            for i, text in enumerate(texts)
        )
        legend = f"<legend>{label}</legend>"
        return f'<fieldset data-size="{len(texts)}"{values}>{legend}{buttons}</fieldset>'
    ident = f"{scene.name}-{slider.name}"
    # An output that is not silenced would repeat what aria-valuetext says.
    return (
        f'<div class="bop-slider" data-size="{len(texts)}"><label for="{ident}">{label}</label>'
        f'<output for="{ident}" aria-live="off">{escape(texts[start])}</output>'
        f'<input type="range" id="{ident}" min="0" max="{len(texts) - 1}" step="1" value="{start}"'
        f' aria-valuetext="{escape(texts[start])}"{values}'
        f' data-texts="{escape(json.dumps(texts, ensure_ascii=False))}"></div>'
    )
