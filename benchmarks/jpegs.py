"""ImageNet's pipeline on drawn JPEGs: against libjpeg-turbo alone, and against the plain way."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

import simplejpeg
import tensorflow as tf

from benchmarks.timing import in_turn, ratio, summary
from bopkit import data
from bopkit.data.imagenet import crops, drawn

BATCH = 64
EPOCHS = 6  # over the images, each time the pipeline is measured


@contextlib.contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Let this process, with all its threads, use so many of its cores.

    Args:
        count: at most as many as there are.
    """
    before = os.sched_getaffinity(0)
    _bind(sorted(before)[:count])
    try:
        yield
    finally:
        _bind(before)


def _bind(cores):
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            os.sched_setaffinity(int(thread), cores)


def make_sample(folder: str, images: int) -> data.Data:
    """Draws images of the sizes of ImageNet's, and has TFDS prepare them.

    Args:
        folder: where to.
        images: how many to train on.

    Returns:
        The set.
    """
    prepared = drawn.prepare_imagenet_sample(folder, train=images, validation=16)
    return data.load("imagenet2012", data_dir=prepared)


def ours(sample: data.Data) -> Callable[[], float]:
    """The pipeline of bopkit: a function that says how many seconds an image takes."""
    return _timed(sample.train_batches(_batch(sample), seed=0, epochs=EPOCHS), sample)


def plain(sample: data.Data) -> Callable[[], float]:
    """The released code's steps, one image at a time, with TensorFlow's own functions."""

    def prepare(record):
        features = {
            "image": tf.io.FixedLenFeature((), tf.string),
            "label": tf.io.FixedLenFeature((), tf.int64),
        }
        example = tf.io.parse_single_example(record, features)
        jpeg = example["image"]
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.io.extract_jpeg_shape(jpeg),
            tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            min_object_covered=0.1,
            aspect_ratio_range=(3 / 4, 4 / 3),
            area_range=(0.08, 1.0),
            max_attempts=10,
        )
        window = tf.concat([begin[:2], size[:2]], 0)
        image = tf.io.decode_and_crop_jpeg(jpeg, window, channels=3)
        image = tf.compat.v1.image.resize_bicubic([image], (224, 224))[0]
        image = tf.image.random_flip_left_right(image)
        image = (image - crops.MEAN) / crops.STANDARD_DEVIATION
        return image, tf.one_hot(example["label"], sample.num_classes)

    batches = (
        tf.data.TFRecordDataset(sample._train_files[0])
        .shuffle(sample.train_examples)
        .repeat(EPOCHS)
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(_batch(sample), drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    return _timed(batches, sample)


def _batch(sample):
    return min(BATCH, sample.train_examples)


def _timed(batches, sample):
    def run():
        # Each time from the beginning to the end: a pipeline left half-way would work on while
        # another is measured. The first batch is not counted, because setting up comes once.
        iterator = iter(batches)
        next(iterator)
        started, count = time.perf_counter(), 0
        for _ in iterator:
            count += _batch(sample)
        return (time.perf_counter() - started) / count

    return run


def read_files(sample: data.Data) -> list[bytes]:
    """The JPEG files of the training images."""
    feature = {"image": tf.io.FixedLenFeature((), tf.string)}
    return [
        tf.io.parse_single_example(record, feature)["image"].numpy()
        for record in tf.data.TFRecordDataset(sample._train_files[0])
    ]


def measure(folder: str, images: int, rounds: int) -> tuple[dict, dict, dict]:
    """Measure seconds an image, on one core, where no sharing of work matters, and on all.

    Args:
        folder: for the images.
        images: how many.
        rounds: as in `timing.in_turn`.

    Returns:
        Settings, times and ratios.
    """
    sample = make_sample(folder, images)
    files = read_files(sample)
    constants = [tf.constant(file) for file in files]

    def bare():
        started = time.perf_counter()
        for file in files:
            simplejpeg.decode_jpeg(file, "RGB")
        return (time.perf_counter() - started) / len(files)

    def tensorflow():
        started = time.perf_counter()
        for file in constants:
            tf.io.decode_jpeg(file, channels=3)
        return (time.perf_counter() - started) / len(files)

    pipelines = {"bopkit": ours(sample), "plain": plain(sample)}
    alone = {"libjpeg-turbo": bare, "TensorFlow's decoder": tensorflow, **pipelines}
    cores = len(os.sched_getaffinity(0))
    runs = {f"{name}, 1 core": _bound(run, 1) for name, run in alone.items()}
    if cores > 1:
        runs |= {f"{name}, {cores} cores": run for name, run in pipelines.items()}
    per_image = in_turn(runs, rounds, warmup=1)
    times = {f"JPEG, {k}, an image": summary(v) for k, v in per_image.items()}
    mine, turbo = per_image["bopkit, 1 core"], per_image["libjpeg-turbo, 1 core"]
    ratios = {
        "JPEG against libjpeg-turbo": ratio(
            "images per second on one core: ImageNet's pipeline (decode the window, resize, flip, "
            "normalize) against libjpeg-turbo decoding the same files whole, and no more",
            turbo,
            mine,
        ),
        "TensorFlow's decoder against libjpeg-turbo": ratio(
            "images per second on one core: the decoder of the pipeline against libjpeg-turbo, "
            "whole files",
            turbo,
            per_image["TensorFlow's decoder, 1 core"],
            at_least=0.85,
        ),
        "JPEG against plain": ratio(
            "images per second on one core: ImageNet's pipeline against the plain one",
            per_image["plain, 1 core"],
            mine,
            at_least=1.3,
        ),
    }
    if cores > 1:
        ratios["JPEG cores"] = ratio(
            f"images per second: ImageNet's pipeline on {cores} cores against 1",
            mine,
            per_image[f"bopkit, {cores} cores"],
        )
        ratios["JPEG against plain, all cores"] = ratio(
            f"images per second on {cores} cores: ImageNet's pipeline against the plain one",
            per_image[f"plain, {cores} cores"],
            per_image[f"bopkit, {cores} cores"],
        )
    kilobytes = sum(map(len, files)) / len(files) / 1000
    return {"jpegs": len(files), "kilobytes_each": round(kilobytes, 1)}, times, ratios


def _bound(run, cores):
    def bound():
        with on_cores(cores):
            return run()

    return bound
