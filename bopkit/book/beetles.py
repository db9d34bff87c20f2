"""Draw photographs of beetles: four species that differ in their markings, not in their colours.

A chapter needs a folder of photographs that every machine has. Each of these drawings has its own
background, colours, light, position, size and direction. Leaves and twigs lie behind and in front
of the beetle, and the file has noise and the losses of JPEG.
"""

from __future__ import annotations

import colorsys
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SPECIES = ("banded", "lined", "plain", "spotted")
_FINE = 2  # pixels of the drawing per pixel of the file


def write(
    folder: str | os.PathLike, *, train: int = 100, validation: int = 75, seed: int = 0
) -> Path:
    """Write a folder of photographs, `train/SPECIES/*.jpg` and `val/SPECIES/*.jpg`.

    Args:
        folder: where to write; it is made if it does not exist.
        train: number of training images per species.
        validation: number of validation images per species.
        seed: the seed of everything that is random. The same seed and the same version of Pillow
            give the same files.

    Returns:
        The folder.

    Example:
        >>> import tempfile
        >>> folder = write(tempfile.mkdtemp(), train=2, validation=1)
        >>> sorted(path.name for path in (folder / "train" / "banded").iterdir())
        ['000.jpg', '001.jpg']
    """
    folder, random = Path(folder), np.random.RandomState(seed)
    for half, count in (("train", train), ("val", validation)):
        for species in SPECIES:
            place = folder / half / species
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                photograph(species, random).save(place / f"{number:03}.jpg", quality=85)
    return folder


def photograph(species: str, random: np.random.RandomState) -> Image.Image:
    """Draw one beetle on a background of its own.

    Args:
        species: one of `SPECIES`.
        random: the source of everything that varies.

    Returns:
        An RGB image whose sides are 56 to 88 pixels long.
    """
    size = tuple(int(side) for side in random.randint(56, 89, 2))
    fine = tuple(side * _FINE for side in size)
    image = _background(fine, random)
    beetle = _beetle(species, random)
    length = int(min(fine) * random.uniform(0.6, 0.95))
    beetle = beetle.resize((length, length)).rotate(
        random.uniform(-40, 40), Image.Resampling.BICUBIC
    )
    slack = [max(side - length, 0) for side in fine]
    image.paste(beetle, tuple(int(random.uniform(0, room)) for room in slack), beetle)
    _twigs(image, random, 1)
    image = image.resize(size, Image.Resampling.LANCZOS)
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0, 0.7)))
    noise = random.normal(0, random.uniform(2, 12), (*size[::-1], 3))
    light = random.uniform(0.75, 1.2)
    return Image.fromarray(np.clip(np.asarray(image) * light + noise, 0, 255).astype(np.uint8))


def _colour(random, low=0.15, high=1.0):
    """Choose any hue, with a brightness between two limits."""
    hue, saturation, value = random.uniform(size=3)
    rgb = colorsys.hsv_to_rgb(hue, 0.2 + 0.7 * saturation, low + (high - low) * value)
    return tuple(int(255 * part) for part in rgb)


def _background(size, random):
    """Draw light that changes in some direction, with leaves and twigs."""
    across, down = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    angle = random.uniform(0, 2 * np.pi)
    share = (0.5 + 0.35 * (across * np.cos(angle) + down * np.sin(angle)))[..., None].clip(0, 1)
    first, second = np.array(_colour(random)), np.array(_colour(random))
    image = Image.fromarray((first * share + second * (1 - share)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(random.randint(2, 6)):
        x, y = random.uniform(size=2) * size
        width, height = random.uniform(0.08, 0.3, 2) * min(size)
        draw.ellipse([x - width, y - height, x + width, y + height], fill=_colour(random))
    _twigs(image, random, 4)
    return image.filter(ImageFilter.GaussianBlur(_FINE))


def _twigs(image, random, most):
    draw = ImageDraw.Draw(image)
    for _ in range(random.randint(0, most + 1)):
        ends = [tuple(random.uniform(size=2) * image.size) for _ in range(2)]
        draw.line(ends, fill=_colour(random), width=int(random.uniform(1, 3) * _FINE))


def _beetle(species, random):
    """Draw one beetle from above, head up, on a transparent square."""
    side = 240
    image = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(image)
    dark = random.uniform() < 0.5  # marks on a dark back are light, and the other way round
    back = _colour(random, *((0.2, 0.5) if dark else (0.75, 1.0)))
    marks = _colour(random, *((0.8, 1.0) if dark else (0.1, 0.35)))
    limbs = _colour(random, 0.1, 0.4)
    half = random.uniform(58, 74)
    left, right, top, bottom = 120 - half, 120 + half, 52, 228
    for y in (95, 140, 185):
        reach = half + random.uniform(22, 36)
        draw.line([(120 - reach, y + 12), (120, y - 6), (120 + reach, y + 12)], limbs, 7)
    draw.ellipse([120 - 0.55 * half, 18, 120 + 0.55 * half, 82], fill=limbs)
    body = Image.new("L", image.size)
    ImageDraw.Draw(body).ellipse([left, top, right, bottom], fill=255)
    shell = Image.new("RGBA", image.size, back)
    _mark(ImageDraw.Draw(shell), species, random, marks, (left, top, right, bottom))
    image.paste(shell, (0, 0), body)
    return image


def _mark(draw, species, random, colour, box):
    left, top, right, bottom = box
    count = int(random.randint(3, 5))
    if species == "banded":
        step = (bottom - top) / (count + 0.5)
        for y in top + step * (np.arange(count) + random.uniform(0.3, 0.7)):
            draw.rectangle([left, y, right, y + 0.5 * step], fill=colour)
    elif species == "lined":
        step = (right - left) / (count + 0.5)
        for x in left + step * (np.arange(count) + random.uniform(0.3, 0.7)):
            draw.rectangle([x, top, x + 0.5 * step, bottom], fill=colour)
    elif species == "spotted":
        radius = random.uniform(10, 15)
        for x in np.linspace(left + 26, right - 26, 3):
            for y in np.linspace(top + 26, bottom - 26, count):
                centre = np.array([x, y]) + random.uniform(-5, 5, 2)
                draw.ellipse([*(centre - radius), *(centre + radius)], fill=colour)
