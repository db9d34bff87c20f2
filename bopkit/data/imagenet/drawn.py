"""Draw small archives of ImageNet's form, so that its loading code runs without ImageNet.

The pictures are drawn, not photographed: colour gradients, stripes and blobs whose colours,
direction and spacing belong to the class, with JPEG sizes and aspect ratios like the real ones.
A network can learn to tell the classes apart, but its accuracy says nothing about ImageNet.
"""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from bopkit.data import tfds
from bopkit.data.imagenet import archives

SIZES = ((500, 375), (500, 333), (375, 500), (400, 300), (500, 500), (640, 480), (331, 500))
# TFDS mends these two by name, because the real ones are not RGB JPEGs.
CMYK_NAME = "n01739381_1309.JPEG"
PNG_NAME = "n02105855_2933.JPEG"


def make_imagenet_archives(
    folder: str | os.PathLike, *, train: int = 32, validation: int = 16, seed: int = 0
) -> Path:
    """Write `ILSVRC2012_img_train.tar` and `ILSVRC2012_img_val.tar`, as the real ones are built.

    The training archive holds an archive per class. Its first four images are oddities: a
    CMYK JPEG, a PNG by the name of a JPEG (one each in the real set), a grayscale and a tiny JPEG.
    ImageNet's list fixes the classes of the validation images. The training images, except the
    CMYK one, cycle through the same classes.

    Args:
        folder: where to write; made if it is not there.
        train: number of training images, at least 4.
        validation: number of validation images, 1 to 50,000.
        seed: of everything drawn; equal arguments give equal bytes.

    Returns:
        `folder`, which TFDS calls the manual folder.

    Raises:
        ValueError: if `train` or `validation` is out of range.

    Example:
        >>> folder = make_imagenet_archives("archives", train=4, validation=1)
        >>> sorted(path.name for path in folder.iterdir())
        ['ILSVRC2012_img_train.tar', 'ILSVRC2012_img_val.tar']
    """
    if train < 4 or not 1 <= validation <= 50_000:
        raise ValueError("train must be at least 4, and validation between 1 and 50,000.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # The classes of ImageNet's validation images, in the order of their file names.
    synsets = archives.imagenet_list("validation_labels.txt")[:validation]
    classes = list(dict.fromkeys(synsets))

    members = defaultdict(list)
    for number in range(train):
        synset = classes[number % len(classes)]
        name, size, mode, image_format = f"{synset}_{number}.JPEG", None, "RGB", "JPEG"
        if number == 0:
            name, mode = CMYK_NAME, "CMYK"
        elif number == 1:
            name, image_format = PNG_NAME, "PNG"
        elif number == 2:
            mode = "L"
        elif number == 3:
            size = (40, 30)
        synset = name.split("_")[0]
        content = draw(synset, (seed, 0, number), size=size, mode=mode, image_format=image_format)
        members[synset].append((name, content))
    inner = [(f"{synset}.tar", _tar(images)) for synset, images in sorted(members.items())]
    _write(folder / "ILSVRC2012_img_train.tar", inner)
    _write(
        folder / "ILSVRC2012_img_val.tar",
        [
            (f"ILSVRC2012_val_{number + 1:08d}.JPEG", draw(synset, (seed, 1, number)))
            for number, synset in enumerate(synsets)
        ],
    )
    return folder


def prepare_imagenet_sample(
    folder: str | os.PathLike, *, train: int = 32, validation: int = 16, seed: int = 0
) -> Path:
    """Draw the archives, and have TFDS's own `imagenet2012` builder prepare them, offline.

    Args:
        folder: where archives and prepared data go; what is prepared there already stays.
        train: as in `make_imagenet_archives`.
        validation: as in `make_imagenet_archives`.
        seed: as in `make_imagenet_archives`.

    Returns:
        The folder to pass to `bopkit.data.load("imagenet2012", data_dir=...)`.

    Raises:
        ValueError: as `make_imagenet_archives`.

    Example:
        >>> folder = prepare_imagenet_sample("sample")  # doctest: +SKIP
        >>> bopkit.data.load("imagenet2012", data_dir=folder).train_examples  # doctest: +SKIP
        32
    """
    data_dir = Path(folder) / "tfds"
    if tfds.find_prepared("imagenet2012", [data_dir]) is None:
        manual_dir = make_imagenet_archives(
            Path(folder) / "manual", train=train, validation=validation, seed=seed
        )
        import tensorflow_datasets

        # TFDS reports every step, which would drown a notebook's own output; errors are raised.
        # Its bars are widgets in a notebook, which no redirection catches.
        tensorflow_datasets.disable_progress_bar()
        silence = io.StringIO()
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            tensorflow_datasets.builder("imagenet2012", data_dir=data_dir).download_and_prepare(
                download_dir=Path(folder) / "downloads",
                download_config=tensorflow_datasets.download.DownloadConfig(
                    manual_dir=manual_dir, num_shards=4
                ),
            )
    return data_dir


def draw(
    synset: str,
    seed: tuple[int, ...],
    *,
    size: tuple[int, int] | None = None,
    mode: str = "RGB",
    image_format: str = "JPEG",
) -> bytes:
    """Draw one encoded picture: the class sets its colours and stripes, the seed all else.

    Args:
        synset: WordNet ID of the class, such as "n01751748".
        seed: integers that tell this picture from the others.
        size: (width, height) in pixels; None draws a size that photographs have.
        mode: Pillow's name of the colour space: "RGB", "L" or "CMYK".
        image_format: Pillow's name of the file format.

    Returns:
        The file's bytes.
    """
    from PIL import Image

    of_class = np.random.default_rng(int(synset[1:]))
    random = np.random.default_rng((int(synset[1:]), *seed))
    width, height = size or SIZES[random.integers(len(SIZES))]
    y, x = np.mgrid[0:height, 0:width] / max(height, width)

    near, far, stripe, blob = of_class.uniform(0, 255, (4, 3))
    angle, waves = of_class.uniform(0, np.pi), of_class.uniform(6, 30)
    slope = random.uniform(0, 2 * np.pi)
    depth = np.clip(0.5 + (x - 0.5) * np.cos(slope) + (y - 0.5) * np.sin(slope), 0, 1)[..., None]
    image = near * depth + far * (1 - depth)

    along = x * np.cos(angle) + y * np.sin(angle) + 0.01 * np.sin(9 * y + random.uniform(0, 6))
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (waves * along + random.uniform()))[..., None]
    image += 0.4 * wave * (stripe - image)
    for _ in range(random.integers(2, 6)):
        (cx, cy), (rx, ry) = random.uniform(0, 1, 2), random.uniform(0.05, 0.25, 2)
        inside = np.clip(8 * (1 - ((x - cx) / rx) ** 2 - ((y - cy) / ry) ** 2), 0, 1)[..., None]
        image += 0.9 * inside * (blob - image)
    image += random.normal(0, 6, image.shape)  # grain, which gives the file a photograph's size

    picture = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, image_format, **({"quality": 92} if image_format == "JPEG" else {}))
    return buffer.getvalue()


def _tar(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _write(path: Path, members: list[tuple[str, bytes]]) -> None:
    # Renamed when complete: a process that runs at the same time never reads half an archive.
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(_tar(members))
    partial.replace(path)
