"""Measures what a run's network is as a file: `python tools/measure_export.py RUN [OUTPUT]`.

Bytes, accuracy on the 10,000 test images, agreement with Keras and time an image, one at a time and
many at once, of the run's own model.keras, packed and for TensorFlow Lite; written to
results/fashion_mnist/export.json, which the chapter on shipping shows. The file for TensorFlow Lite
is compared with Keras in float32.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bopkit import data as bopdata
from bopkit import models, records
from bopkit._support.files import whole_file
from bopkit._tensorflow import tf
from bopkit.deploy import exporting, packed
from bopkit.deploy.loading import load_run

ROUNDS = 7
IMAGES = 200  # a round


def main() -> None:
    """Write the file."""
    run = Path(sys.argv[1])
    output = Path(sys.argv[2] if len(sys.argv) > 2 else "results/fashion_mnist/export.json")
    record = records.read(run)
    config = record["config"]
    # The test set, also where the run validated on images held out of the training set.
    data = bopdata.load(config["dataset"], preprocess=config["preprocess"])
    model = load_run(run)
    images = next(iter(data.validation_batches(IMAGES)))[0].numpy()
    reports, formats, predicts = {}, {}, {"keras": exporting.predictor(model)}
    with tempfile.TemporaryDirectory() as folder:
        for name, suffix in exporting.FORMATS.items():
            path = Path(folder) / f"model.{suffix}"
            report = reports[name] = exporting.write(model, data, name, path)
            formats[name] = {
                "bytes": report.bytes,
                "accuracy": report.accuracy,
                "agreement": report.agreement,
                "different": list(report.different),
                "margins": list(report.margins),
                "largest_difference": report.largest_difference,
                "not_binary": list(report.not_binary),
            }
            predicts[name] = (
                exporting.predictor(
                    packed.load_packed(path, into=tf.keras.models.clone_model(model))
                )
                if name == "packed"
                else exporting.interpreter(path.read_bytes())
            )
    keras = {
        "bytes": (run / "model.keras").stat().st_size,
        "accuracy": reports["packed"].keras_accuracy,  # in the run's own precision
    }
    formats = {"keras": keras, **formats}
    for name, seconds in _time(predicts, images, 1).items():
        formats[name]["microseconds_an_image"] = round(1e6 * seconds / len(images), 1)
    del predicts["tflite"]  # the Compute Engine takes one after the other in any case
    for name, seconds in _time(predicts, images, IMAGES).items():
        formats[name]["microseconds_an_image_at_once"] = round(1e6 * seconds / len(images), 1)
    found = {
        "run": {
            **{key: config.get(key) for key in ("name", "method", "filters", "dense_units")},
            "epochs": len(record["epochs"]),
            "train_examples": config["train_examples"],
            "git_commit": record["git_commit"],
        },
        "binary_weights": models.count_weights(model)[1],
        "binary_float_bytes": report.binary_float_bytes,
        "images": report.images,
        "at_once": IMAGES,
        "formats": formats,
        "threads": len(os.sched_getaffinity(0)),
        "hardware": records.hardware(),
        "versions": records.versions(),
        "git_commit": records.git_commit(),
    }
    with whole_file(output) as file:
        file.write((json.dumps(found, indent=1) + "\n").encode())
    print(json.dumps(found, indent=1))


def _time(predicts, images, batch):
    """Seconds for all images, the median over rounds in which the formats take turns."""
    seconds = {name: [] for name in predicts}
    for predict in predicts.values():
        predict(images[:batch])
    for _ in range(ROUNDS):
        for name, predict in predicts.items():
            started = time.perf_counter()
            for number in range(0, len(images), batch):
                predict(images[number : number + batch])
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
