"""Load a run's network: build it in code, and read its weights as numbers.

A saved network has two parts. Its description names layers, functions and modules, and whoever
builds the network from the description calls what it names. Its weights are only numbers. A
stranger can write a description that runs code, and no list of harmless names is complete. So
bopkit never builds a network from a file. `load_run` builds one of bopkit's own networks with the
sizes that ``run.json`` states, and copies the numbers in ``model.keras`` into it.
`bopkit.load_packed` fills a network that the caller built.
"""

from __future__ import annotations

import collections
import io
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from bopkit import models, records
from bopkit._support.files import with_home
from bopkit._support.text import printable
from bopkit._tensorflow import tf
from bopkit.deploy import archives
from bopkit.errors import ConfigError, DataError, RecordError, one_line, unknown
from bopkit.experiments import METHODS
from bopkit.experiments.experiment import PRECISIONS

FILE_NAME = "model.keras"
_WEIGHTS = "model.weights.h5"  # the member of a .keras file that holds numbers and nothing else


def run_folder(path: str | os.PathLike) -> Path:
    """Take a path as a run's folder, with ``~`` replaced.

    Raises:
        ConfigError: it is a file, such as the record in the folder.

    Example:
        >>> run_folder("runs/digits").name
        'digits'
    """
    path = with_home(path, RecordError)
    if path.is_file():
        raise ConfigError(f"{path} is not a folder: name the folder that holds the run.")
    return path


def load_run(folder: str | os.PathLike) -> tf.keras.Model:
    """Load the network of a completed run.

    Nothing in the folder is run, whoever made it. The record says which network to build. The
    record does not hold the number of classes, so `load_run` reads the number off the shape of the
    last dense kernel in ``model.keras``.

    Args:
        folder: the run's folder, with ``run.json`` and ``model.keras``.

    Returns:
        The network with the run's weights, not compiled.

    Raises:
        RecordError: the record cannot be read.
        ConfigError: `folder` is a file.
        DataError: the run is not complete, or ``model.keras`` is missing or damaged, or the record
            does not describe the network in it.

    Example:
        >>> network = bopkit.load_run("runs/digits")
        >>> network.predict(np.zeros((1, 16, 16, 1)), verbose=0).shape
        (1, 10)
    """
    folder = run_folder(folder)
    record = records.read(folder)
    if record["status"] != "completed":
        why = printable(record.get("error", record["status"]))
        raise DataError(
            f"the run in {folder} is not complete ({why:.300}): give its command again first."
        )
    path = folder / FILE_NAME
    damaged = "is not a .keras file of bopkit's networks, or is damaged: train the run again."
    with archives.opened(path, damaged) as archive:
        # Keras does not compress: weights larger than the file are a claim, not weights.
        content = archives.read_member(archive, _WEIGHTS, path.stat().st_size)
        with h5py.File(io.BytesIO(content), "r") as file:
            network = _build(folder, record["config"], _count_classes(file), len(content))
            places = list(_places(network))
            arrays = [_find_array(file, place) for place in places]
            if [a.shape for a in arrays] != [tuple(v.shape) for v in network.weights]:
                raise _other_network(folder, "the weights have other shapes")
            arrays = [array[()] for array in arrays]
    archives.require_finite(path, zip(places, arrays, strict=True))
    network.set_weights(arrays)
    return network


def _build(folder, config, num_classes, largest) -> tf.keras.Model:
    """The network that a record describes, unless it has more bytes of weights than `largest`."""
    left = largest

    def create(next_creator, **settings):
        nonlocal left
        left -= 4 * math.prod(settings.get("shape") or ())  # float32
        if left < 0:
            raise ValueError("it has more weights than the file")
        return next_creator(**settings)

    try:
        for field, known in (("network", models.NETWORKS), ("precision", PRECISIONS)):
            if config.get(field) not in known:
                raise ValueError(unknown(field, config.get(field), known))
        with tf.variable_creator_scope(create):
            return models.build_network(
                config["network"],
                config.get("image_shape"),
                num_classes,
                method=METHODS[config["method"]].kernels,
                precision=config["precision"],
                filters=config.get("filters"),
                dense_units=config.get("dense_units"),
            )
    except Exception as error:  # TensorFlow and Keras raise what their many parts raise
        raise _other_network(folder, one_line(error)) from error


def _other_network(folder, reason):
    return DataError(
        f"{folder / records.FILE_NAME} does not describe the network in {FILE_NAME} ({reason}): "
        "put both files of one run into the folder."
    )


def _places(model) -> Iterator[str]:
    """Where a .keras file keeps each weight, in the order of `model.weights`."""
    seen = collections.Counter()
    for layer in model.layers:
        kind = re.sub(r"_\d+$", "", layer.name)
        suffix = f"_{seen[kind]}" if seen[kind] else ""
        seen[kind] += 1
        for number in range(len(layer.weights)):
            yield f"layers/{kind}{suffix}/vars/{number}"


def _count_classes(file) -> int:
    """The columns of the last dense kernel: every network ends in a dense layer."""
    names = _find(file, "layers")
    dense = [name for name in names if re.fullmatch(r"(quant_)?dense(_\d+)?", name)]
    last = max(dense, key=lambda name: (len(name), name))
    return _find_array(file, f"layers/{last}/vars/0").shape[-1]


def _find(file, place) -> h5py.Group | h5py.Dataset:
    """What is at a place of the file itself: a link could lead to another file of this machine.

    Only the place is looked up, so that groups that hold each other are not walked.
    """
    item = file
    for name in place.split("/"):
        if not isinstance(item.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{place} is missing, or a link")
        item = item[name]
    return item


def _find_array(file, place) -> h5py.Dataset:
    """Find one array as Keras stores it: in float32, and with every byte in this very file.

    HDF5 makes zeros of what was never written, however much that is, and reads other files.
    """
    array = _find(file, place)
    stored = 0 if array.external else array.id.get_storage_size()
    if array.dtype != np.float32 or stored != array.nbytes:
        raise ValueError(f"{place} is not stored as Keras stores weights")
    return array
