"""Stream ImageNet from the files that TFDS prepared; `bopkit.data.photographs` decodes them."""

from __future__ import annotations

import os
from pathlib import Path

from bopkit._tensorflow import tf
from bopkit.data import checks, folders, tfds
from bopkit.data.identity import Origin, read_fingerprint
from bopkit.data.imagenet import jpegs
from bopkit.data.listings import find_imagenet
from bopkit.data.photographs import IMAGE_SIZE, Photographs, check_arguments
from bopkit.errors import DataError, as_our_error, one_line

# Files read in turns, records per turn, and records held back to be shuffled: up to 0.9 GB at
# 110 KB per JPEG. They are part of what a seed means, so they are not tuned to the machine.
FILES_AT_ONCE = 16
RECORDS_IN_A_ROW = 8
SHUFFLE_BUFFER = 8192


def load(
    num_classes: int,
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    preprocess: str = "default",
    train_examples: int | None = None,
    validation_examples: int | None = None,
    holdout: int = 0,
) -> ImageNet:
    """Open the folder that TFDS prepared; `bopkit.data.load("imagenet2012", ...)` calls this.

    Args:
        num_classes: labels lie from 0 to `num_classes` - 1.
        data_dir: the only folder in which to look for `imagenet2012/VERSION`; None looks in
            `$BOPKIT_DATA_DIR` and in TFDS's own folder.
        image_size: side in pixels of the images that the network sees; None is 224.
        channels: 3 or None, which mean the same.
        preprocess: "default", the only one there is.
        train_examples: number of training images to take, from the first on; TFDS shuffled them.
        validation_examples: number of validation images to take.
        holdout: number of training images, from the end, to validate on; 0 validates on
            ImageNet's validation images.

    Returns:
        The set, of which `train_batches` and `validation_batches` make pipelines.

    Raises:
        DataError: if the data or an argument is not as it must be.
    """
    check_arguments("imagenet2012", channels, preprocess)
    places = tfds.folders(data_dir)
    prepared = tfds.find_prepared("imagenet2012", places)
    if prepared is None and (listing := find_imagenet(places)):
        return folders.load(
            "imagenet2012",
            listing,
            image_size,
            channels,
            preprocess,
            train_examples,
            validation_examples,
            holdout,
        )
    if prepared is None:
        raise DataError(
            "ImageNet is not there: looked for imagenet2012 prepared by TFDS, and for folders "
            f"train and val, in {', '.join(map(str, places))}; get ILSVRC2012_img_train.tar and "
            "ILSVRC2012_img_val.tar from image-net.org and run "
            "`bopkit data prepare imagenet2012 --manual-dir DIR"
            + (f" --data-dir {data_dir}`." if data_dir else "`.")
        )
    return open_prepared(
        "imagenet2012",
        prepared,
        num_classes,
        image_size=image_size,
        train_examples=train_examples,
        validation_examples=validation_examples,
        holdout=holdout,
    )


def open_prepared(
    name: str,
    prepared: Path,
    num_classes: int,
    *,
    image_size: int | None,
    train_examples: int | None,
    validation_examples: int | None,
    holdout: int,
) -> ImageNet:
    """Open a set of photographs that TFDS prepared, with the splits train and validation.

    Args:
        name: of the set.
        prepared: the folder of its version.
        num_classes: labels lie from 0 to `num_classes` - 1.
        image_size: side in pixels of the images that the network sees; None is 224.
        train_examples: number of training images to take, from the first on; None takes all.
        validation_examples: number of validation images to take; None takes all.
        holdout: number of training images, from the end, to validate on.

    Raises:
        DataError: if the data or an argument is not as it must be.
    """
    with _explained(name, prepared):
        counts = _count_examples(name, prepared)
    checks.check_holdout(name, holdout, counts["train"])
    available = counts["train"] - holdout
    train = checks.check_examples("train_examples", train_examples, available)
    if holdout:
        validation = checks.check_examples("validation_examples", validation_examples, holdout)
        validation_split = f"train[{available}:{available + validation}]"
    else:
        validation = checks.check_examples(
            "validation_examples", validation_examples, counts["validation"]
        )
        validation_split = f"validation[:{validation}]"
    loaded = ImageNet(
        name,
        prepared,
        num_classes,
        image_size or IMAGE_SIZE,
        f"train[:{train}]",
        train,
        validation_split,
        validation,
    )
    loaded.fingerprint = read_fingerprint(prepared)
    loaded.origin = Origin("prepared by TFDS", prepared)
    return loaded


def _explained(name: str, prepared: Path):
    return as_our_error(
        DataError, f"{prepared} cannot be read ({{}}): copy it again, or prepare {name} again."
    )


def _count_examples(name: str, prepared: Path) -> dict[str, int]:
    """Count the examples per split, once it is clear that all files are there and whole."""
    builder = tfds.open_prepared(prepared)
    if builder.info.file_format.value != "tfrecord":
        raise DataError(
            f"{prepared} is stored as {builder.info.file_format.value}: prepare it as tfrecord."
        )
    for split in builder.info.splits.values():
        missing = [path for path in map(Path, split.filepaths) if not path.is_file()]
        if missing:
            raise DataError(
                f"{missing[0]} is missing, with {len(missing) - 1} other files of the "
                f"{split.name} split: prepare {name} again, or copy it whole."
            )
    tfds.check_lengths(prepared)
    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    for split in ("train", "validation"):
        if not counts.get(split):
            raise DataError(
                f"{prepared} has no {split} images: remove it and prepare {name} again"
                + (
                    " with both ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar."
                    if name == "imagenet2012"
                    else "."
                )
            )
    return counts


class ImageNet(Photographs):
    """Stream ImageNet, or a set of its form, from TFRecord files. Made by `open_prepared`."""

    def __init__(
        self,
        name: str,
        prepared: Path,
        num_classes: int,
        image_size: int,
        train_split: str,
        train_examples: int,
        validation_split: str,
        validation_examples: int,
    ):
        super().__init__(
            name,
            num_classes,
            (image_size, image_size, 3),
            train_examples,
            validation_examples,
            "default",
        )
        with _explained(name, prepared):
            splits = tfds.open_prepared(prepared).info.splits
            self._train_files = _file_parts(splits[train_split])
            self._validation_files = _file_parts(splits[validation_split])

    def find_damaged(self, *where):
        """Name the image that cannot be used, as `bopkit.data.base.Data.find_damaged` says."""
        again = f"prepare {self.name} again"
        try:
            for record in self._records(*where):
                example = _parse(record)
                name, label = os.fsdecode(example["file_name"].numpy()), int(example["label"])
                if not 0 <= label < self.num_classes:
                    return (
                        f"the image {name} has the label {label}; labels must lie from 0 to "
                        f"{self.num_classes - 1}: {again}."
                    )
                if what := jpegs.problem(example["image"].numpy()):
                    leave = ", with --skip-damaged to leave it out"
                    leave = leave if self.name == "imagenet2012" else ""
                    return f"the image {name} {what}: {again}{leave}."
        except tf.errors.OpError:
            files = (self._train_files if where else self._validation_files)[0]
            for file in files.numpy():
                try:
                    for _ in tf.data.TFRecordDataset(file):
                        pass
                except tf.errors.OpError as error:
                    reason = one_line(error).rpartition("}} ")[2].partition(" [Op")[0]
                    return f"{os.fsdecode(file)} is damaged ({reason}): copy it again, or {again}."
        return None

    def _train_records(self, batch_size, steps, seed, epochs, start_step, index, count):
        """Make a dataset of (epoch, position in it, record) of this worker's training images."""

        def records_of(epoch):
            # `shuffle` mixes its seed with the graph's, which is the global `tf.random.set_seed`
            # unless pinned, here only for this function's graph (to 1: 0 may stand for "unset").
            tf.compat.v1.set_random_seed(1)
            epoch_seed = [seed, epoch]
            order = tf.random.experimental.stateless_shuffle(
                tf.range(len(self._train_files[0])), epoch_seed, alg="philox"
            )
            files = tuple(tf.gather(column, order) for column in self._train_files)
            buffer_seed = tf.random.stateless_uniform(
                (), epoch_seed, minval=None, maxval=None, dtype=tf.int64, alg="philox"
            )
            records = _read(tf.data.Dataset.from_tensor_slices(files))
            buffer_size = min(SHUFFLE_BUFFER, self.train_examples)
            records = records.shuffle(buffer_size, buffer_seed, reshuffle_each_iteration=False)
            records = records.take(steps * batch_size).shard(count, index).enumerate()
            return records.map(lambda number, record: (epoch, number * count + index, record))

        records = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(records_of)
        return records.skip(start_step * (batch_size // count))

    def _validation_records(self):
        return _read(tf.data.Dataset.from_tensor_slices(self._validation_files))

    def _content_and_label(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Parse a record to a JPEG and a one-hot label."""
        example = _parse(record)
        label = example["label"]
        # `one_hot` makes a row of zeros of a label out of range, and training would continue.
        in_range = tf.logical_and(label >= 0, label < self.num_classes)
        tf.debugging.Assert(in_range, [example["file_name"], "has the label", label])
        return example["image"], tf.one_hot(label, self.num_classes)


def _file_parts(split) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """List a split's files, the records to skip in each, and the number to take from there."""
    parts = split.file_instructions
    takes = [part.examples_in_shard if part.take < 0 else part.take for part in parts]
    return (
        tf.constant([str(part.filename) for part in parts]),
        tf.constant([part.skip for part in parts], tf.int64),
        tf.constant(takes, tf.int64),
    )


def _read(files: tf.data.Dataset) -> tf.data.Dataset:
    return files.interleave(
        lambda name, skip, take: tf.data.TFRecordDataset(name).skip(skip).take(take),
        cycle_length=FILES_AT_ONCE,
        block_length=RECORDS_IN_A_ROW,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
    features = {
        "image": tf.io.FixedLenFeature((), tf.string),
        "label": tf.io.FixedLenFeature((), tf.int64),
        "file_name": tf.io.FixedLenFeature((), tf.string, default_value=""),
    }
    return tf.io.parse_single_example(record, features)
