"""Stream photographs from folders, one for each class: ImageNet as it lies, or a set of one's own.

The files are read where they are. Their order is a permutation of the whole set that depends only
on the seed and the epoch, so no shuffle buffer is needed.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bopkit._tensorflow import tf
from bopkit.data import checks
from bopkit.data.identity import Origin
from bopkit.data.imagenet import jpegs
from bopkit.data.listings import Listing, find_own
from bopkit.data.photographs import IMAGE_SIZE, Photographs, check_arguments
from bopkit.data.summary import Summary
from bopkit.errors import DataError


def describe(data_dir: str | os.PathLike | None) -> Summary:
    """Look at every image of a set of one's own, and count them.

    Raises:
        DataError: if a folder is not as it must be, or an image cannot be used.
    """
    listing = find_own(_own_folder(data_dir))
    return summarize("image_folder", listing)


def summarize(name: str, listing: Listing) -> Summary:
    """Look at every image of a listing, and count them.

    Raises:
        DataError: an image cannot be used.
    """
    for path, _ in [*listing.train, *listing.validation]:
        if what := problem(str(listing.root / path)):
            raise DataError(f"{listing.root / path} {what}: get it again, or remove it.")
    return Summary(
        name,
        listing.root,
        {"train": len(listing.train), "val": len(listing.validation)},
        origin=Origin(listing.form, listing.root),
        note=f"classes: {', '.join(listing.classes)}",
    )


def load_own(num_classes, data_dir=None, **arguments) -> Folders:
    """Open a set of one's own; `bopkit.data.load("image_folder", ...)` calls this."""
    return load("image_folder", find_own(_own_folder(data_dir)), **arguments)


def _own_folder(data_dir):
    root = checks.folder(data_dir) if data_dir is not None else checks.environment_folder()
    if root is None:
        raise DataError(
            "image_folder needs data_dir or BOPKIT_DATA_DIR: the folder with train/CLASS/*.jpg."
        )
    return root


def load(
    name: str,
    listing: Listing,
    image_size: int | None = None,
    channels: int | None = None,
    preprocess: str = "default",
    train_examples: int | None = None,
    validation_examples: int | None = None,
    holdout: int = 0,
) -> Folders:
    """Make a listing ready for batching; the arguments are those of `bopkit.data.load`.

    `train_examples` takes the first images of a permutation that never changes, and `holdout` the
    last.

    Raises:
        DataError: if an argument is wrong, or there is nothing to validate on.
    """
    check_arguments(name, channels, preprocess)
    checks.check_holdout(name, holdout, len(listing.train))
    # RandomState's streams are frozen across NumPy versions: these images never change.
    order = np.random.RandomState(0).permutation(len(listing.train))
    train = [listing.train[i] for i in order[: len(order) - holdout]]
    validation = [listing.train[i] for i in order[len(order) - holdout :]]
    if not holdout:
        order = np.random.RandomState(0).permutation(len(listing.validation))
        validation = [listing.validation[i] for i in order]
    if not validation:
        raise DataError(
            f"{listing.root} has no folder val: add it, or validate on some of the training "
            f"images with holdout, such as {max(1, len(listing.train) // 10)}."
        )
    n = checks.check_examples("train_examples", train_examples, len(train))
    m = checks.check_examples("validation_examples", validation_examples, len(validation))
    loaded = Folders(name, listing, train[:n], validation[:m], image_size or IMAGE_SIZE)
    loaded.fingerprint = listing.fingerprint()
    own = listing.classes if name == "image_folder" else ()
    loaded.origin = Origin(listing.form, listing.root, classes=own)
    return loaded


class Folders(Photographs):
    """Stream photographs from single files. Made by `load`."""

    others = True  # one of ImageNet's own is a PNG file, whatever its name says

    def __init__(self, name, listing, train, validation, image_size):
        shape = (image_size, image_size, 3)
        super().__init__(name, len(listing.classes), shape, len(train), len(validation), "default")
        with tf.device("CPU:0"):
            self._train_files = _constants(listing.root, train)
            self._validation_files = _constants(listing.root, validation)

    def find_damaged(self, *where):
        """Name the file that cannot be used, as `bopkit.data.base.Data.find_damaged` says."""
        for path, _ in self._records(*where):
            name = os.fsdecode(path.numpy())
            if what := problem(name):
                return f"{name} {what}: get it again, or remove it."
        return None

    def _train_records(self, batch_size, steps, seed, epochs, start_step, index, count):
        paths, labels = self._train_files

        def records_of(epoch):
            order = tf.random.experimental.stateless_shuffle(
                tf.range(len(paths)), seed=[seed, epoch], alg="philox"
            )[: steps * batch_size][index::count]
            positions = tf.range(len(order), dtype=tf.int64) * count + index
            # From the first epoch, what was done of it is passed over before a file is opened.
            done = tf.where(epoch == epochs.start, start_step * (batch_size // count), 0)
            epoch_of = tf.fill([len(order)], epoch)
            records = (epoch_of, positions, (tf.gather(paths, order), tf.gather(labels, order)))
            return tf.data.Dataset.from_tensor_slices(
                tf.nest.map_structure(lambda column: column[done:], records)
            )

        return tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(records_of)

    def _validation_records(self):
        return tf.data.Dataset.from_tensor_slices(self._validation_files)

    def _content_and_label(self, record):
        path, label = record
        return tf.io.read_file(path), tf.one_hot(label, self.num_classes)


def problem(path: str) -> str | None:
    """Say why training could not use a file, in words that follow its name; None if it can."""
    try:
        size = os.path.getsize(path)
        if not os.path.isfile(path):  # a pipe would be waited for, a device never end
            return "is not a file"
        if size > jpegs.MOST_PIXELS * 4:
            return f"is too large for an image: {size:,} bytes"
        return jpegs.problem(Path(path).read_bytes(), others=True)
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _constants(root, files):
    paths = [os.fsencode(root.absolute() / name) for name, _ in files]  # in whatever encoding
    return tf.constant(paths), tf.constant([label for _, label in files], tf.int64)
