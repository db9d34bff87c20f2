"""Export a run's network to a small file, if the file predicts what the network does.

`bopkit.deploy.packed` writes the packed format. Larq's converter writes the tflite format for its
Compute Engine on Arm CPUs, where each binary convolution multiplies bits. The converter has
no binary dense layer, so `bopkit.deploy.tflite` first turns dense layers into convolutions.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np

from bopkit import data as bopdata
from bopkit import models, records
from bopkit._support.files import whole_file, with_home
from bopkit._support.numbers import is_whole
from bopkit._tensorflow import tf
from bopkit.deploy import packed
from bopkit.deploy.loading import FILE_NAME, load_run, run_folder
from bopkit.deploy.report import Report
from bopkit.deploy.tflite import as_convolutions, in_float32
from bopkit.errors import ConfigError, DataError, SetupError
from bopkit.rules.ranges import is_number

FORMATS = {"packed": "npz", "tflite": "tflite"}
BATCH = 100
# What a run's folder consists of; the rest of the folder is free for exported files.
_OF_A_RUN = (records.FILE_NAME, FILE_NAME, "checkpoints", "tensorboard", ".lock")


def export(
    run: str | os.PathLike,
    *,
    format: str = "packed",
    output: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    validation_examples: int | None = None,
    min_agreement: float = 0.999,
    recalibrate: int = 0,
) -> Report:
    """Export a completed run's network to a file, if the file predicts what the network does.

    Before the file gets its name, the file and the network predict the run's validation images, and
    `export` compares their classes. If two numbers of a network are equal up to rounding, two
    programs may round them apart; `min_agreement` says how often that may change a class. The
    packed format changes no number, so all classes must agree.

    Args:
        run: the run's folder, with `run.json` and `model.keras`.
        format: a name of `FORMATS`.
        output: the file; `None` is `model.npz` or `model.tflite` in the run's folder.
        data_dir: where to look for the data.
        validation_examples: how many images to compare; `None` compares every image that the run
            validated on.
        min_agreement: smallest share of images, in [0, 1], that must get the same class.
        recalibrate: how many training batches to fit batch normalization to before the export, by
            `bopkit.models.recalibrate`; 0 exports the averages that training left. The report
            then holds both accuracies, and the run's own network keeps its averages.

    Returns:
        A `Report`.

    Raises:
        ConfigError: the format is unknown, `min_agreement` or `recalibrate` is out of range, `run`
            is a file, `output` is part of a run or is no ordinary file, or the network has no
            batch normalization to recalibrate.
        DataError: the run is not complete, its weights or data cannot be read, the data is not the
            run's, `validation_examples` is out of range, the file cannot be written, or it would
            predict something else; then nothing is written.
        RecordError: the record cannot be read.
        SetupError: the format is "tflite" and larq-compute-engine is missing.

    Example:
        >>> report = bopkit.export("runs/digits", output="digits.npz")
        >>> report.path.name, report.images, report.agreement
        ('digits.npz', 360, 1.0)
    """
    if format not in FORMATS:
        raise ConfigError(f"format must be one of: {', '.join(FORMATS)}; got {format!r}.")
    if not (is_number(min_agreement) and 0 <= min_agreement <= 1):
        raise ConfigError(f"min_agreement must be a number from 0 to 1; got {min_agreement!r}.")
    if not (is_whole(recalibrate) and recalibrate >= 0):
        raise ConfigError(
            f"recalibrate must be a whole number of at least 0 batches; got {recalibrate!r}."
        )
    run = run_folder(run)
    record = records.read(run)
    output = with_home(output or run / f"model.{FORMATS[format]}", ConfigError)
    _check_output(output)
    if format == "tflite":
        _engine()  # before the data are read
    model = load_run(run)
    data = _data(run, record["config"], data_dir, validation_examples)
    if not recalibrate:
        return write(model, data, format, output, min_agreement=min_agreement)
    # In the precision in which `write` compares the file with the network.
    before = _top1(in_float32(model) if format == "tflite" else model, data)
    models.recalibrate(model, _training(run, record["config"], data, recalibrate))
    report = write(model, data, format, output, min_agreement=min_agreement)
    return dataclasses.replace(report, recalibrated=recalibrate, lagging_accuracy=before)


def write(
    model: tf.keras.Model,
    data: bopdata.Data,
    format: str,
    output: Path,
    *,
    min_agreement: float = 0.999,
) -> Report:
    """Write a network to a file, if the file predicts what the network does.

    Args:
        model: the network.
        data: the data set whose validation images the file and the network predict.
        format: a name of `FORMATS`.
        output: the file; its folder exists.
        min_agreement: as for `export`.

    Returns:
        A `Report`.

    Raises:
        DataError: a binary weight is not ±1, the file cannot be written, or it would predict
            something else; then nothing is written.
        SetupError: the format is "tflite" and larq-compute-engine is missing.
    """
    packed.require_signs(model)
    unfinished = output.with_name(f".{secrets.token_hex(4)}{output.name}")
    # A file for TensorFlow Lite computes in float32, so a network of 16 bits is compared in it too.
    network = in_float32(model) if format == "tflite" else model
    try:
        if format == "packed":
            packed.save_packed(model, unfinished)
            twin = packed.load_packed(unfinished, into=tf.keras.models.clone_model(model))
            predict, not_binary, least = predictor(twin), (), 1.0
        else:
            rewritten, not_binary = as_convolutions(network)
            content = _engine().convert_keras_model(rewritten)
            with whole_file(unfinished) as file:
                file.write(content)
            predict, least = interpreter(content), min_agreement
        report = Report(
            path=output,
            bytes=unfinished.stat().st_size,
            binary_float_bytes=4 * models.count_weights(model)[1],
            not_binary=not_binary,
            in_float32=network is not model,
            **_compare(predictor(network), predict, data.validation_batches(BATCH)),
        )
        if report.agreement < least:
            raise DataError(
                f"the file would put {len(report.different)} of {report.images} images into "
                f"another class than {report._keras} ({report.agreement:.2%} agree, {least:.2%} "
                "asked): not written."
            )
        os.replace(unfinished, output)
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
    return report


def _check_output(output):
    if output.is_dir() or not output.parent.is_dir():
        raise ConfigError(f"cannot write {output}: name a file in a folder that exists.")
    if output.exists() and not output.is_file():
        raise ConfigError(f"cannot write {output}: it is a device or a pipe; name a file.")
    place = output.resolve()
    for folder in place.parents:
        # Without regard to case, as some file systems have it.
        name = place.relative_to(folder).parts[0].casefold()
        of_a_run = name in _OF_A_RUN or re.fullmatch(r"run\.before.*\.json", name)
        if of_a_run and (folder / records.FILE_NAME).exists():
            raise ConfigError(f"cannot write {output}: it is part of a run; name another file.")


def _data(run, config, data_dir, validation_examples):
    _require(run, config, ("dataset", "preprocess"), str, "the images to compare predictions on")
    if validation_examples is None:
        validation_examples = config["validation_examples"]
    height, width, channels = config["image_shape"]
    data = bopdata.load(
        config["dataset"],
        data_dir=data_dir,
        image_size=height if height == width else None,  # no size makes images that are not square
        channels=channels,
        preprocess=config["preprocess"],
        train_examples=config["train_examples"],
        validation_examples=validation_examples,
        holdout=config["holdout"],
    )
    _require_same_images(run, config.get("data_fingerprint"), data)
    return data


def _require_same_images(run, trained, data):
    """Refuse to compare predictions on images of another set than the run's."""
    trained = trained if isinstance(trained, dict) else {}
    for split, found in data.fingerprint.items():
        if trained.get(split, found) != found:
            raise DataError(
                f"the {split.removesuffix('_files')} images of {data.name} are not those of the "
                f"run in {run}, because their fingerprint differs from the one in "
                f"{records.FILE_NAME}: name the folder of the run's data with --data-dir."
            )


def _require(run, config, fields, kind, what):
    for field in fields:
        if not isinstance(config.get(field), kind):
            raise DataError(
                f"the record in {run} does not say config.{field}, which names {what}: put it into "
                f"{records.FILE_NAME}, or train the run again."
            )


def _training(run, config, data, count):
    """The first `count` batches that the run trained on, augmented as they were then."""
    _require(run, config, ("batch_size", "seed"), int, "the batches to recalibrate over")
    epochs = math.ceil(count / data.steps_per_epoch(config["batch_size"]))
    return data.train_batches(config["batch_size"], seed=config["seed"], epochs=epochs).take(count)


def _top1(model, data):
    right = [
        predictor(model)(images.numpy()).argmax(axis=1) == labels.numpy().argmax(axis=1)
        for images, labels in data.validation_batches(BATCH)
    ]
    return float(np.concatenate(right).mean())


def _compare(keras: Callable, other: Callable, batches) -> dict:
    """Compare both networks' classes for all images; the report's fields that follow."""
    different, margins, right, keras_right = [], [], 0, 0
    seen, largest = 0, 0.0
    for images, labels in batches:
        one, two = keras(images.numpy()), other(images.numpy())
        truth = labels.numpy().argmax(axis=1)
        theirs, ours = one.argmax(axis=1), two.argmax(axis=1)
        keras_right += int((theirs == truth).sum())
        right += int((ours == truth).sum())
        largest = max(largest, float(np.abs(one - two).max()))
        for place in np.flatnonzero(theirs != ours):
            different.append(seen + int(place))
            margins.append(float(one[place, theirs[place]] - one[place, ours[place]]))
        seen += len(truth)
    return {
        "images": seen,
        "different": tuple(different),
        "margins": tuple(margins),
        "accuracy": right / seen,
        "keras_accuracy": keras_right / seen,
        "largest_difference": largest,
    }


def predictor(model: tf.keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Make a function from images to probabilities, computed by Keras."""
    return lambda images: model.predict_on_batch(images)


def _engine():
    try:
        import larq_compute_engine
    except ImportError as error:
        raise SetupError(
            "format tflite needs Larq's converter: pip install 'larq-compute-engine>=0.16,<0.17' "
            "(wheels for Python 3.10 to 3.12 on Linux and macOS; "
            f"{' '.join(str(error).split())[:120]})."
        ) from error
    return larq_compute_engine


def interpreter(content: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """Make a function from images to probabilities, computed by Larq's Compute Engine.

    Args:
        content: the bytes of a file that `export` wrote in the format "tflite".
    """
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    engine = Interpreter(content, num_threads=joblib.cpu_count())  # those of this process
    return lambda images: engine.predict(images)
