"""A run's network as a file to take along: packed, or for TensorFlow Lite with 1-bit kernels.

`bopkit.deploy.packed` is the packed form. The other is what Larq's converter writes, for its
Compute Engine on Arm processors: each binary convolution multiplies bits. It knows no binary
dense layer, so these are written as the convolutions that they are.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bopkit import data as bopdata
from bopkit import models, records
from bopkit._tensorflow import tf
from bopkit.deploy import loading, packed
from bopkit.deploy.tflite import as_convolutions, in_float32
from bopkit.errors import ConfigError, DataError, SetupError

FORMATS = {"packed": "npz", "tflite": "tflite"}
BATCH = 100


@dataclasses.dataclass(frozen=True)
class Report:
    """What was written, and whether it predicts the same.

    Attributes:
        path: the file.
        bytes: its size.
        binary_float_bytes: what its binary weights take in float32.
        images: how many validation images were compared.
        different: the numbers of the images, in the validation set's order, whose class differs.
        accuracy: top-1 of the file on them, in [0, 1].
        keras_accuracy: top-1 of the network it was made from.
        largest_difference: between two probabilities.
        margins: for each image of `different`, how far apart Keras had the two classes.
        not_binary: names of binary layers that are not one bit wide in the file.
    """

    path: Path
    bytes: int
    binary_float_bytes: int
    images: int
    different: tuple[int, ...]
    accuracy: float
    keras_accuracy: float
    largest_difference: float
    margins: tuple[float, ...]
    not_binary: tuple[str, ...] = ()

    @property
    def agreement(self) -> float:
        """The share of images that both put into one class, in [0, 1]."""
        return 1 - len(self.different) / self.images

    def __str__(self):
        times = self.binary_float_bytes / self.bytes
        lines = [
            f"{self.path}: {self.bytes:,} bytes, 1/{times:.1f} of its binary weights in float32.",
            f"{self.agreement:.2%} of {self.images:,} validation images get the same class as from "
            f"Keras; top-1 {self.accuracy:.2%}, Keras {self.keras_accuracy:.2%}.",
        ]
        for number, margin in list(zip(self.different, self.margins, strict=True))[:10]:
            lines.append(f"image {number} differs; Keras had its two classes {margin:.1e} apart.")
        if len(self.different) > 10:
            lines.append(f"{len(self.different) - 10} more differ.")
        if self.not_binary:
            lines.append(f"not one bit wide in this file: {', '.join(self.not_binary)}.")
        return "\n".join(lines)


def export(
    run: str | os.PathLike,
    *,
    format: str = "packed",
    output: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    validation_examples: int | None = None,
    min_agreement: float = 0.999,
) -> Report:
    """Write a completed run's network to a file, if the file predicts what the network does.

    Both are shown the run's validation images, and their classes compared, before the file gets its
    name. Where two numbers of a network are equal but for rounding, two programs may round them
    apart; `min_agreement` says how often that may change a class. The packed form changes nothing,
    and is held to equality.

    Args:
        run: the run's folder, with `run.json` and `model.keras`.
        format: a name of `FORMATS`.
        output: the file; `None` is `model.npz` or `model.tflite` in the run's folder.
        data_dir: where to look for the data.
        validation_examples: compare on so many images only; `None` for those of the run.
        min_agreement: the least share of images, in [0, 1], that must get the same class.

    Returns:
        A `Report`.

    Raises:
        ConfigError: the format is unknown, or a number out of range.
        DataError: the run is not complete, or its file or data cannot be read, or the file would
            predict something else: then it is not written.
        RecordError: the record cannot be read.
        SetupError: "tflite" without larq-compute-engine.
    """
    if format not in FORMATS:
        raise ConfigError(f"format must be one of: {', '.join(FORMATS)}; got {format!r}.")
    if not isinstance(min_agreement, int | float) or not 0 <= min_agreement <= 1:
        raise ConfigError(f"min_agreement must be a number from 0 to 1; got {min_agreement!r}.")
    folder, record = Path(run), records.read(run)
    if record["status"] != "completed":
        raise DataError(
            f"the run in {folder} is not complete ({record.get('error', record['status'])}): give "
            "its command again first."
        )
    output = Path(output or folder / f"model.{FORMATS[format]}")
    if output.is_dir() or not output.parent.is_dir():
        raise ConfigError(f"cannot write {output}: name a file in a folder that exists.")
    if format == "tflite":
        _engine()  # before the data are read
    model = loading.load_model(folder / "model.keras")
    data = _data(record["config"], data_dir, validation_examples)
    return write(model, data, format, output, min_agreement=min_agreement)


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
        data: whose validation images both are shown.
        format: a name of `FORMATS`.
        output: the file; its folder exists.
        min_agreement: as for `export`.

    Returns:
        A `Report`.

    Raises:
        DataError: the file would predict something else: then it is not written.
        SetupError: "tflite" without larq-compute-engine.
    """
    unfinished = output.with_name(f".{output.name}.unfinished")
    try:
        if format == "packed":
            packed.save_packed(model, unfinished)
            predict, not_binary, least = predictor(packed.load_packed(unfinished)), (), 1.0
        else:
            # Where they were trained in 16 bits, in float32, which is what the file computes in.
            model = in_float32(model)
            rewritten, not_binary = as_convolutions(model)
            content = _engine().convert_keras_model(rewritten)
            unfinished.write_bytes(content)
            predict, least = interpreter(content), min_agreement
        report = Report(
            path=output,
            bytes=unfinished.stat().st_size,
            binary_float_bytes=4 * models.count_weights(model)[1],
            not_binary=not_binary,
            **_compare(predictor(model), predict, data.validation_batches(BATCH)),
        )
        if report.agreement < least:
            raise DataError(
                f"the file would put {len(report.different)} of {report.images} images into "
                f"another class than Keras ({report.agreement:.2%} agree, {least:.2%} asked): not "
                "written."
            )
        os.replace(unfinished, output)
    finally:
        unfinished.unlink(missing_ok=True)
    return report


def _data(config, data_dir, validation_examples):
    height, _, channels = config["image_shape"]
    return bopdata.load(
        config["dataset"],
        data_dir=data_dir,
        image_size=height,
        channels=channels,
        preprocess=config["preprocess"],
        validation_examples=validation_examples or config["validation_examples"],
        holdout=config["holdout"],
    )


def _compare(keras: Callable, other: Callable, batches) -> dict:
    """Both networks' classes for all images, and what they differ in."""
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
    """A function from images to probabilities, by Keras."""
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
    """A function from images to probabilities, by Larq's Compute Engine.

    Args:
        content: a file that `export` wrote as "tflite".
    """
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    engine = Interpreter(content, num_threads=len(os.sched_getaffinity(0)))
    return lambda images: engine.predict(images)
