"""The interactive pictures with a kernel, and as a page without one."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser

import matplotlib as mpl
import pytest

from bopkit import book
from bopkit.book import pictures, style, widgets
from bopkit.book.pictures.scene import Scene, Slider
from bopkit.errors import SetupError


def draw(gamma, how):
    with mpl.rc_context(style.STYLE):
        figure, axis = style.new_figure(3, 2)
        axis.plot([0, gamma], [0, 1], color=style.BOP if how == "one" else style.LATENT)
        axis.set_xlim(0, 4)
    figure.description = f"A line to {gamma:g}, the {how} <way>."
    return figure


SMALL = Scene(
    "small",
    draw,
    (
        Slider("gamma", "adaptivity rate γ", (1.0, 2.0, 3.0), 2.0),
        Slider("how", "which", ("one", "other"), "one"),
    ),
)


def unpack(html):
    packed = re.search(r"octet-stream\">([^<]+)<", html)[1]
    content = json.loads(zlib.decompress(base64.b64decode(packed)))
    return [
        ("".join("<" + content["parts"][i] for i in numbers), description)
        for numbers, description in content["frames"]
    ]


def test_a_live_slider_draws_anew():
    live = widgets.Live(SMALL)
    assert "A line to 2" in live.picture.value
    before = live.picture.value
    live.controls["gamma"].value = 3.0
    assert "A line to 3" in live.picture.value and live.picture.value != before
    live.controls["how"].value = "other"
    assert "the other &lt;way&gt;" in live.picture.value


def test_a_live_slider_stops_between_the_pages_values():
    values = [value for _, value in widgets.Live(SMALL).controls["gamma"].options]
    assert values[0] == 1.0 and values[-1] == 3.0 and len(values) == 9


def test_a_page_holds_every_picture_in_order():
    frames = unpack(widgets.page_html(SMALL))
    assert frames == [
        (style.inline_svg(draw(**values)), draw(**values).description) for values in SMALL.grid()
    ]
    assert [text for _, text in frames][1] == "A line to 1, the other <way>."


def test_without_a_script_the_first_picture_stands_there_with_its_description():
    html = widgets.page_html(SMALL)
    assert style.inline_svg(draw(**SMALL.start)) in html
    assert "A line to 2, the one &lt;way&gt;." in html
    assert '<form class="bop-controls" hidden>' in html and "<noscript>" in html


def test_a_sliders_value_is_read_out_once():
    """By its aria-valuetext; an output would repeat it."""
    html = widgets.page_html(SMALL)
    assert html.count("aria-valuetext=") == html.count("<output ") == 1
    assert re.search(r'<output [^>]*aria-live="off"', html)


def test_the_page_is_well_formed():
    class Balance(HTMLParser):
        open = ()

        def handle_starttag(self, tag, attrs):
            if tag not in ("input",):
                self.open = (*self.open, tag)

        def handle_endtag(self, tag):
            assert self.open[-1] == tag
            self.open = self.open[:-1]

    parser = Balance()
    parser.feed(widgets.page_html(SMALL))
    assert parser.open == ()


@pytest.mark.parametrize("page", [False, True])
def test_explore_shows_what_the_place_needs(monkeypatch, page):
    monkeypatch.setattr(pictures, "get", lambda name: SMALL)
    if page:
        monkeypatch.setenv("BOPKIT_PAGE", "1")
    else:
        monkeypatch.delenv("BOPKIT_PAGE", raising=False)
    shown = widgets.explore("small")
    assert isinstance(shown, widgets.Page if page else widgets.Live)


def test_without_the_repository_explore_says_how_to_install_it(monkeypatch, tmp_path):
    """An ordinary installation leaves the pages' JavaScript and the records behind."""
    monkeypatch.delenv("BOPKIT_PAGE", raising=False)
    monkeypatch.setattr(book, "REPOSITORY", tmp_path)
    advice = r"is not beside the package bopkit; .* pip install -e '.\[book\]'\.$"
    with pytest.raises(SetupError, match=f"book/_static/live {advice}"):
        widgets.explore("two_rules")
    with pytest.raises(SetupError, match=f"results {advice}"):
        from bopkit.book import RESULTS  # noqa: F401


def test_explore_refuses_an_unknown_name():
    with pytest.raises(ValueError, match="there is no picture 'nosuch'"):
        widgets.explore("nosuch")


def test_with_a_kernel_the_browser_computes_a_live_picture(monkeypatch):
    monkeypatch.delenv("BOPKIT_PAGE", raising=False)
    shown = widgets.explore("two_rules")
    sent = shown.get_state(["_esm", "_css"])
    assert ".bop-live" in sent["_css"]
    assert "export default { render(" in sent["_esm"] and "import " not in sent["_esm"]
    assert 'data-scene=\\"two_rules\\"' in sent["_esm"]
