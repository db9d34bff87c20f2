"""ImageNet as TFDS prepared it: JPEG records to normalized batches, decoding only what is seen.

Training: a random crop (8 to 100 % of the area, aspect ratio 3/4 to 4/3), resized bicubically,
flipped half of the time. Validation: the centre crop of 224/256 of the shorter side. Then the mean
and standard deviation of ImageNet's channels. All as in the paper's released code
(plumerai/rethinking-bnn-optimization, after the preprocessing of EfficientNet).
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

import numpy as np

from bopkit._tensorflow import tf
from bopkit.data import checks, readers, tfrecords
from bopkit.data.base import Data
from bopkit.data.imagenet import jpegs
from bopkit.errors import DataError, one_line

NUM_CLASSES = 1000
IMAGE_SIZE = 224
CENTRE_FRACTION = 224 / 256
MEAN = 255 * np.array([0.485, 0.456, 0.406], np.float32)
STANDARD_DEVIATION = 255 * np.array([0.229, 0.224, 0.225], np.float32)

# Files read in turns, records a turn, and records held back to be shuffled: up to 0.9 GB at 110 KB
# a JPEG. They are part of what a seed means, so they are fixed and not tuned to the machine.
FILES_AT_ONCE = 16
RECORDS_IN_A_ROW = 8
SHUFFLE_BUFFER = 8192


def load(
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    preprocess: str = "default",
    train_examples: int | None = None,
    validation_examples: int | None = None,
    holdout: int = 0,
) -> ImageNet:
    """Opens the folder that TFDS prepared; `bopkit.data.load("imagenet2012", ...)` calls this.

    Args:
        data_dir: folder with `imagenet2012/VERSION` in it, and no other; None: `$BOPKIT_DATA_DIR`
            and TFDS's own folder.
        image_size: side in pixels of the images that the network sees; None: 224.
        channels: 3 or None, which mean the same.
        preprocess: "default", the only one there is.
        train_examples: take only the first so many; TFDS has shuffled them when preparing.
        validation_examples: likewise.
        holdout: if above 0, the last so many training images become the validation set.

    Returns:
        The set, of which `train_batches` and `validation_batches` make pipelines.

    Raises:
        DataError: if the data or an argument is not as it must be.
    """
    if channels not in (None, 3):
        raise DataError(f"channels must be 3 (or None) for imagenet2012, not {channels}.")
    if preprocess != "default":
        raise DataError(f"preprocess must be 'default' for imagenet2012, not {preprocess!r}.")
    folders = readers.tfds_folders(data_dir)
    prepared = readers.find_prepared("imagenet2012", folders)
    if prepared is None:
        raise DataError(
            "ImageNet is not there: looked for imagenet2012 prepared by TFDS in "
            f"{', '.join(map(str, folders))}; get ILSVRC2012_img_train.tar and "
            "ILSVRC2012_img_val.tar from image-net.org and run "
            "`bopkit data prepare imagenet2012 --manual-dir DIR"
            + (f" --data-dir {data_dir}`." if data_dir else "`.")
        )
    with _explained(prepared):
        counts = _split_counts(prepared)
    checks.check_holdout("imagenet2012", holdout, counts["train"])
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
    return ImageNet(
        prepared, image_size or IMAGE_SIZE, f"train[:{train}]", train, validation_split, validation
    )


@contextlib.contextmanager
def _explained(prepared: Path):
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # TFDS raises what its many parts raise.
        raise DataError(
            f"{prepared} cannot be read ({one_line(error)}): copy it again, or prepare "
            "imagenet2012 again."
        ) from error


def _split_counts(prepared: Path) -> dict[str, int]:
    """Examples a split, after a look whether the files stand there and are TFRecords."""
    builder = readers.open_prepared(prepared)
    if builder.info.file_format.value != "tfrecord":
        raise DataError(
            f"{prepared} is stored as {builder.info.file_format.value}: prepare it as tfrecord."
        )
    for split in builder.info.splits.values():
        missing = [path for path in map(Path, split.filepaths) if not path.is_file()]
        if missing:
            raise DataError(
                f"{missing[0]} is missing, with {len(missing) - 1} other files of the "
                f"{split.name} split: prepare imagenet2012 again, or copy it whole."
            )
    tfrecords.check(prepared)
    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    for name in ("train", "validation"):
        if not counts.get(name):
            raise DataError(
                f"{prepared} has no {name} images: remove it and prepare imagenet2012 again with "
                "both ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar."
            )
    return counts


class ImageNet(Data):
    """ImageNet streamed from TFRecord files. Made by `load`."""

    def __init__(
        self,
        prepared: Path,
        image_size: int,
        train_split: str,
        train_examples: int,
        validation_split: str,
        validation_examples: int,
    ):
        super().__init__(
            "imagenet2012",
            NUM_CLASSES,
            (image_size, image_size, 3),
            train_examples,
            validation_examples,
            "default",
        )
        with _explained(prepared):
            splits = readers.open_prepared(prepared).info.splits
            self._train_files = _file_parts(splits[train_split])
            self._validation_files = _file_parts(splits[validation_split])

    def find_damaged(self, *where):
        """As `bopkit.data.Data.find_damaged`, which this overrides."""
        if where:
            batch_size, seed, epoch, step = where
            steps, epochs = self.steps_per_epoch(batch_size), range(epoch, epoch + 1)
            found = self._train_records(batch_size, steps, seed, epochs, step, 0, 1)
            found = found.map(lambda epoch, position, record: record)
        else:
            found = _read(tf.data.Dataset.from_tensor_slices(self._validation_files))
        advice = "prepare imagenet2012 again, with --skip-damaged if it shall be left out."
        try:
            for record in found:
                features = dict.fromkeys(
                    ("image", "file_name"), tf.io.FixedLenFeature((), tf.string)
                )
                example = tf.io.parse_single_example(record, features)
                if what := jpegs.problem(example["image"].numpy()):
                    return f"the image {example['file_name'].numpy().decode()} {what}: {advice}"
        except tf.errors.OpError:
            files = (self._train_files if where else self._validation_files)[0]
            for file in files.numpy():
                try:
                    for _ in tf.data.TFRecordDataset(file):
                        pass
                except tf.errors.OpError as error:
                    reason = one_line(error).rpartition("}} ")[2].partition(" [Op")[0]
                    return (
                        f"{file.decode()} is damaged ({reason}): copy it again, or prepare "
                        "imagenet2012 again."
                    )
        return None

    def _train_records(self, batch_size, steps, seed, epochs, start_step, index, count):
        """(epoch, position in it, record) of this worker's training images, in their order."""

        def records_of(epoch):
            # `shuffle` mixes its seed with the graph's, which is the global `tf.random.set_seed`
            # unless pinned, here for this function's graph alone (to 1: 0 may stand for "unset").
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

    def _train(self, batch_size, steps, seed, epochs, start_step, index, count):
        def decode(epoch, position, record):
            jpeg, label = _parse(record)
            # Two seeds of its own for each image of each epoch: for the window and for the flip.
            number = 2 * (epoch * 2**32 + position)
            window = random_window(tf.io.extract_jpeg_shape(jpeg)[:2], tf.stack([seed, number]))
            image = self._normalize(self._crop(jpeg, window))
            flip = tf.random.stateless_uniform((), tf.stack([seed, number + 1]), alg="philox") < 0.5
            image = tf.cond(flip, lambda: tf.reverse(image, [1]), lambda: image)
            return image, tf.one_hot(label, NUM_CLASSES)

        records = self._train_records(batch_size, steps, seed, epochs, start_step, index, count)
        examples = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return examples.batch(batch_size // count, drop_remainder=True)

    def _validation(self, batch_size, index, count):
        def decode(record):
            jpeg, label = _parse(record)
            window = centre_window(tf.io.extract_jpeg_shape(jpeg)[:2])
            return self._normalize(self._crop(jpeg, window)), tf.one_hot(label, NUM_CLASSES)

        examples = (
            _read(tf.data.Dataset.from_tensor_slices(self._validation_files))
            .shard(count, index)
            .map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        )
        batches = examples.batch(batch_size // count)
        mine = len(range(index, self.validation_examples, count))
        steps = math.ceil(self.validation_examples / batch_size)
        if math.ceil(mine / (batch_size // count)) < steps:
            batches = batches.concatenate(
                tf.data.Dataset.from_tensors(
                    (tf.zeros((0, *self.image_shape)), tf.zeros((0, NUM_CLASSES)))
                )
            )
        return batches.apply(tf.data.experimental.assert_cardinality(steps))

    def _crop(self, jpeg: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_and_crop_jpeg(jpeg, window, channels=3)
        # As in the released code: TensorFlow 1's bicubic, with pixel centres at whole numbers.
        return tf.raw_ops.ResizeBicubic(
            images=image[None], size=self.image_shape[:2], half_pixel_centers=False
        )[0]

    def _normalize(self, image: tf.Tensor) -> tf.Tensor:
        height, width, _ = self.image_shape
        # An image at a time, while it is in the cache, and on whole rows: a broadcast over three
        # channels is eight times slower.
        rows = tf.reshape(image, (height, width * 3))
        rows = rows * np.tile(1 / STANDARD_DEVIATION, width) - np.tile(
            MEAN / STANDARD_DEVIATION, width
        )
        return tf.reshape(rows, self.image_shape)


def random_window(size: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A random part of an image; the centre crop where ten attempts find none that fits.

    Args:
        size: int32 (2,), height and width of the image in pixels.
        seed: integers (2,), on which alone the window depends.

    Returns:
        int32 (4,): top, left, height, width in pixels.
    """
    begin, shape, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.concat([size, [3]], 0),
        bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed=seed,
        # The released code's value. It makes windows below 10 % of the area attempts that failed,
        # though the range of areas begins at 8 %.
        min_object_covered=0.1,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
    )
    # The whole image is what the op returns when every attempt failed.
    failed = tf.reduce_all(shape[:2] == size)
    window = tf.concat([begin[:2], shape[:2]], 0)
    return tf.where(failed, centre_window(size), window)


def centre_window(size: tf.Tensor) -> tf.Tensor:
    """The square in the middle whose side is 224/256 of the shorter side.

    Args:
        size: int32 (2,), height and width of the image in pixels.

    Returns:
        int32 (4,): top, left, height, width in pixels.
    """
    side = tf.cast(CENTRE_FRACTION * tf.cast(tf.reduce_min(size), tf.float32), tf.int32)
    side = tf.maximum(side, 1)
    return tf.concat([(size - side + 1) // 2, [side, side]], 0)


def _file_parts(split) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The files of a TFDS split, the records to skip in each, and how many to take from there."""
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


def _parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    example = tf.io.parse_single_example(
        record,
        {
            "image": tf.io.FixedLenFeature((), tf.string),
            "label": tf.io.FixedLenFeature((), tf.int64),
        },
    )
    return example["image"], example["label"]
