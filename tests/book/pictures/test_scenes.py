"""Every interactive picture, at every corner of its sliders: drawn, told, and moved by each one."""

import functools
import itertools
import re
import subprocess
import sys
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from bopkit.book import pictures, style
from bopkit.book.pictures.scene import Slider

SCENES = [pictures.get(name) for name in pictures.NAMES]


@pytest.fixture(params=SCENES, ids=lambda scene: scene.name)
def scene(request):
    return request.param


class Drawn(NamedTuple):
    svg: str
    description: str
    inches: tuple[float, float]

    @property
    def unlabelled(self):
        """How a picture looks: without its label, which quotes the sliders in any case."""
        return re.sub(r' aria-label="[^"]*"', "", self.svg, count=1)


@functools.cache
def draw(scene, *values):
    """Once for all tests: at the same values a picture is the same, as one of them says."""
    figure = scene.picture(**dict(zip([s.name for s in scene.sliders], values, strict=True)))
    return Drawn(style.inline_svg(figure), figure.description, tuple(figure.get_size_inches()))


def at(scene, values):
    return draw(scene, *(values[slider.name] for slider in scene.sliders))


@pytest.mark.slow
def test_is_drawn_at_every_corner_and_says_what_it_shows(scene):
    drawn = {}
    for values in scene.corners():
        picture = at(scene, values)
        assert ElementTree.fromstring(picture.svg).tag == "svg"
        drawn[tuple(values.values())] = picture.unlabelled
        assert 20 < len(picture.description) < 400, values
        assert "nan" not in picture.description.lower()
    for slider in range(len(scene.sliders)):
        rest = {corner: corner[:slider] + corner[slider + 1 :] for corner in drawn}
        kinds = {(rest[corner], picture) for corner, picture in drawn.items()}
        assert len(kinds) > len(set(rest.values())), scene.sliders[slider].name


def test_the_same_values_are_the_same_picture(scene):
    again = scene.picture(**scene.start)
    assert style.inline_svg(again) == at(scene, scene.start).svg
    assert again.description == at(scene, scene.start).description


@pytest.mark.slow
def test_each_slider_changes_the_picture(scene):
    for slider in scene.sliders:
        # A picture that the browser computes has too many values to draw each.
        values = slider.values[:: -(-len(slider.values) // 8)] if scene.live else slider.values
        drawn = {at(scene, scene.start | {slider.name: value}).unlabelled for value in values}
        # neighbours may agree where a slider has reached its end, never all
        assert len(drawn) > len(values) / 2, slider.name


def test_pictures_keep_their_size(scene):
    sizes = {at(scene, values).inches for values in scene.corners()}
    assert len(sizes) == 1


def test_axes_stand_where_a_layout_of_its_own_would_put_them(scene):
    first, *_, last = scene.corners()
    width, height = at(scene, scene.start).inches
    boxes = [axis.get_position(original=True) for axis in scene.picture(**scene.start).axes]
    for values in (first, last):
        own = style.lay_out(scene.draw(**values))
        assert len(own) == len(boxes)
        for place, box in zip(own, boxes, strict=True):
            pixels = abs(place.get_points() - box.get_points()) * (96 * width, 96 * height)
            assert pixels.max() < 1, values


def test_a_live_slider_between_two_values_is_drawn_too(scene):
    for slider in scene.sliders:
        between = slider.fine_values()
        assert set(slider.values) <= set(between)
        assert scene.draw(**scene.start | {slider.name: between[1]}).description


def test_the_book_has_its_widgets():
    assert len(SCENES) >= 6
    main = pictures.get("gamma_tau")
    assert all(len(s.values) >= 7 for s in main.sliders if s.name in ("gamma", "threshold"))


def test_no_picture_loads_tensorflow():
    code = "import sys; from bopkit.book import pictures, widgets\n"
    code += "[pictures.get(name) for name in pictures.NAMES]\n"
    code += "sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unknown_picture_is_refused_by_name():
    with pytest.raises(ValueError, match="there is no picture 'gama_tau'; there are: two_rules"):
        pictures.get("gama_tau")


def test_fine_values_fill_the_gaps_in_order():
    log = Slider("gamma", "γ", (0.0, 0.01, 0.1, 1.0), 0.1, log=True).fine_values()
    assert list(log) == sorted(log) and len(log) == 10
    ratios = [b / a for a, b in itertools.pairwise(log[1:])]
    assert max(ratios) - min(ratios) < 1e-6
    assert Slider("n", "n", (1, 2, 3), 2).fine_values() == (1, 2, 3)
    assert Slider("how", "how", ("a", "b"), "a").fine_values() == ("a", "b")
    with pytest.raises(ValueError, match="starts at 5"):
        Slider("n", "n", (1, 2, 3), 5)
