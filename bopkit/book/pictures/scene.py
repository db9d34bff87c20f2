"""Define an interactive picture: a pure function, and the sliders that set its arguments."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from bopkit._support.text import number
from bopkit.book import style


@dataclass(frozen=True)
class Slider:
    """Describe one slider of a picture.

    Attributes:
        name: the argument of the drawing function.
        label: the text beside the slider, such as "adaptivity rate γ".
        values: the values in a page, in order: numbers, or words for a choice.
        start: the initial value, one of `values`.
        log: whether the values are evenly spaced in their logarithm; a live kernel adds values
            between them.

    Example:
        >>> slider = Slider("gamma", "adaptivity rate γ", (1e-3, 1e-2, 1e-1), start=1e-2, log=True)
        >>> slider.text(slider.start)
        '0.01'
    """

    name: str
    label: str
    values: tuple
    start: float | str
    log: bool = False

    def __post_init__(self):
        if self.start not in self.values:
            raise ValueError(f"{self.name} starts at {self.start!r}, which is not in its values.")

    @property
    def is_choice(self) -> bool:
        """Whether the values are words."""
        return isinstance(self.values[0], str)

    def text(self, value: float | str) -> str:
        """Write a value as a page shows it.

        Args:
            value: one of `values`, or a number between them.

        Returns:
            A word as it is; a number with at most four digits, or with a power of ten.

        Example:
            >>> Slider("threshold", "threshold τ", (1e-6, 1e-3), start=1e-6, log=True).text(1e-6)
            '10⁻⁶'
        """
        return value if isinstance(value, str) else number(value)

    def fine_values(self, parts: int = 4) -> tuple:
        """List the values with the gaps filled, for a live kernel, which can draw any value.

        Args:
            parts: the number of parts into which each gap is cut. Whole numbers and a gap next to 0
                on a logarithmic slider are left as they are.

        Returns:
            The values in order.
        """
        if self.is_choice or all(isinstance(v, int) for v in self.values):
            return self.values
        filled = [self.values[0]]
        for low, high in itertools.pairwise(self.values):
            for part in range(1, parts):
                if not self.log:
                    filled.append(low + (high - low) * part / parts)
                elif low * high > 0:
                    filled.append(low * (high / low) ** (part / parts))
            filled.append(high)
        return tuple(filled)


@dataclass(frozen=True)
class Scene:
    """Describe an interactive picture.

    Attributes:
        name: the name that `bopkit.book.widgets.explore` takes.
        draw: a pure function: `draw(**values)` returns a figure whose `description` says in words
            and numbers what the figure shows.
        sliders: one slider for each argument of `draw`.
        live: a module in `book/_static/live/` of this name computes the picture in the browser, and
            `draw` gives the still picture for a reader without JavaScript. Such a picture has far
            more values than could be drawn in advance.
        data: for a live picture whose numbers only Python can compute: `data()` returns them in
            types that JSON has, and the picture's element holds them.

    Example:
        >>> def draw(gamma):
        ...     figure, axis = style.new_figure(4, 3)
        ...     figure.description = f"γ is {gamma}"
        ...     return figure
        >>> scene = Scene("mine", draw, (Slider("gamma", "γ", (0.1, 0.5), start=0.1),))
        >>> scene.picture(gamma=0.5).description
        'γ is 0.5'
    """

    name: str
    draw: Callable[..., Figure]
    sliders: tuple[Slider, ...] = field(default=())
    live: bool = False
    data: Callable[[], object] | None = None

    @property
    def start(self) -> dict:
        """The values at which the sliders start, by the sliders' names.

        Example:
            >>> bopkit.book.pictures.get("votes").start
            {'push': 0.4, 'size': 30.0, 'every': 100, 'gamma': 0.05}
        """
        return {slider.name: slider.start for slider in self.sliders}

    @functools.cached_property
    def _places(self) -> list:
        return style.lay_out(self.draw(**self.start))

    def picture(self, **values) -> Figure:
        """Draw the figure for some values, with its axes where the first picture has them.

        Args:
            **values: a value for each slider, by name.

        Returns:
            The figure.

        The axes keep their places, because axes that moved a little at each step of a slider would
        draw the eye, and because measuring all texts again takes as long as drawing them.

        Example:
            >>> scene = bopkit.book.pictures.get("gamma_tau")
            >>> scene.picture(**scene.start | {"gamma": 0.1}).description.split(",")[0]
            'γ = 0.1'
        """
        figure = self.draw(**values)
        style.lay_out(figure, self._places)
        return figure

    def grid(self) -> Iterator[dict]:
        """Yield every combination of values that a page offers; the last slider moves fastest."""
        names = [slider.name for slider in self.sliders]
        for values in itertools.product(*(slider.values for slider in self.sliders)):
            yield dict(zip(names, values, strict=True))

    def corners(self) -> Iterator[dict]:
        """Yield every combination of the sliders' ends, and of all words of a choice."""
        names = [slider.name for slider in self.sliders]
        ends = [s.values if s.is_choice else (s.values[0], s.values[-1]) for s in self.sliders]
        for values in itertools.product(*ends):
            yield dict(zip(names, values, strict=True))
