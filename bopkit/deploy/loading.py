"""Loads a saved network as data: whoever made the file, nothing in it is run.

Keras alone is not enough. An ``.h5`` file's ``Lambda`` layers run as they are loaded, and the
configuration in a ``.keras`` file names modules to import and functions to call, which its safe
mode does not look at. So what a file names is held against what a network of Keras' and larq's
ordinary layers is made of, before Keras sees it.
"""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
import zlib
from pathlib import Path

import h5py

from bopkit._tensorflow import tf  # isort: skip  (before larq)
import larq as lq

from bopkit._files import objects
from bopkit.errors import DataError
from bopkit.models.initializers import RandomSign
from bopkit.models.layers import QuantConv2D
from bopkit.models.quantizers import ApproxSign, SteSign
from bopkit.optimizers import Bop, Bop2ndOrder

# The members of a .keras file; vocabularies and other assets would be more.
_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)  # what damaged zip archives end in
_LARGEST_CONFIG = 64 * 2**20
_LARGEST_WEIGHTS = 4 * 2**30  # in bytes, all together; a file of a few kB can claim more

_LAYERS = [
    "Activation", "Add", "Average", "AveragePooling1D", "AveragePooling2D", "BatchNormalization",
    "Concatenate", "Conv1D", "Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv2D", "Dropout",
    "Flatten", "Functional", "GaussianNoise", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "InputLayer", "LayerNormalization", "LeakyReLU",
    "MaxPooling1D", "MaxPooling2D", "Maximum", "Model", "Multiply", "PReLU", "Permute", "ReLU",
    "Rescaling", "Reshape", "SeparableConv2D", "Sequential", "Softmax", "SpatialDropout2D",
    "Subtract", "SyncBatchNormalization", "UpSampling2D", "ZeroPadding2D",
]  # fmt: skip


def _classes(*modules) -> set[str]:
    found = {name: c for module in modules for name, c in vars(module).items()}
    return {
        name
        for name, c in found.items()
        if isinstance(c, type) and c.__module__.partition(".")[0] in ("keras", "tf_keras", "larq")
    }


_KERAS = tf.keras
# Names alone, whatever module a file says they are in: the loader takes them from here.
_KNOWN = {
    *_LAYERS,
    *_classes(
        _KERAS.initializers, _KERAS.regularizers, _KERAS.constraints, _KERAS.losses, _KERAS.metrics
    ),
    *_classes(_KERAS.optimizers, _KERAS.optimizers.schedules),
    *_classes(lq.layers, lq.quantizers, lq.constraints, lq.metrics),
    *("Bop", "Bop2ndOrder", "RandomSign", "SteSign", "ApproxSign", "Policy", "TensorShape"),
}
# By their registered names: larq has a SteSign too.
_OURS = {
    f"bopkit>{c.__name__}": c
    for c in (Bop, Bop2ndOrder, RandomSign, QuantConv2D, SteSign, ApproxSign)
}
_MODULES = ("keras", "tf_keras.src", "larq", "bopkit")


def load_model(path: str | os.PathLike) -> tf.keras.Model:
    """Loads a ``.keras`` file of ordinary layers, such as a run's ``model.keras``.

    Args:
        path: the file. Where it is not one of a run of your own, this and not Keras' own
            ``load_model`` is what to open it with.

    Returns:
        The model, compiled if it was when it was saved.

    Raises:
        DataError: the file cannot be read, is not a ``.keras`` file, or holds what could run code
            (a ``Lambda`` layer, a function, a class that is not Keras', larq's or bopkit's).
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            config = json.loads(archive.read("config.json"))
            with archive.open("model.weights.h5") as file, h5py.File(file, "r") as weights:
                _check_weights(path, weights)
    except DataError:
        raise
    except OSError as error:
        reason = error.strerror or "its weights are damaged"
        raise DataError(f"cannot read {path}: {reason}.") from error
    except (*DAMAGED, ValueError, RecursionError, RuntimeError, NotImplementedError) as e:
        raise DataError(
            f"{path} is not a .keras file, or is damaged: save the network again with "
            "model.save('NAME.keras')."
        ) from e
    check_config(path, config)
    with _explained(path):
        return tf.keras.models.load_model(path, custom_objects=_OURS, safe_mode=True)


def build(path: str | os.PathLike, network: dict) -> tf.keras.Model:
    """Builds a network from its layers as Keras writes them, its weights not yet set.

    Args:
        path: the file that the layers were read from, for messages.
        network: what ``json.loads(model.to_json())`` gives.

    Returns:
        The model, not compiled.

    Raises:
        DataError: the layers are not those of an ordinary network.
    """
    check_config(path, network)
    with _explained(path):
        return tf.keras.models.model_from_json(json.dumps(network), custom_objects=_OURS)


@contextlib.contextmanager
def _explained(path):
    try:
        yield
    except Exception as error:  # Keras raises what its many parts raise.
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be loaded ({reason}).") from error


def _check_members(path, archive):
    names = set(archive.namelist())
    if names != _MEMBERS or len(archive.namelist()) != len(_MEMBERS):
        odd = sorted(names ^ _MEMBERS)
        raise DataError(
            f"{path} is not a .keras file of an ordinary network: "
            f"{', '.join(odd[:3]) or 'a member'} is missing, or too much."
        )
    if archive.getinfo("config.json").file_size > _LARGEST_CONFIG:
        raise DataError(f"{path} holds a configuration of more than 64 MB.")


def _check_weights(path, group):
    """Refuses links, with which HDF5 reads other files of this machine as if they were weights.

    Returns:
        How many bytes of weights there are, which must not be more than memory holds.
    """
    total = 0
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise DataError(f"{path} holds a link to another place ({name!r}) instead of weights.")
        item = group[name]
        if isinstance(item, h5py.Group):
            total += _check_weights(path, item)
        elif item.external or item.is_virtual:
            raise DataError(f"{path} takes weights ({name!r}) from another file.")
        else:
            total += (item.size or 0) * item.dtype.itemsize
        if total > _LARGEST_WEIGHTS:
            raise DataError(f"{path} claims more than 4 GiB of weights ({name!r} and before).")
    return total


def check_config(path: str | os.PathLike, config: object) -> None:
    """Refuses classes and modules that an ordinary network does not name.

    Args:
        path: where it is from, for messages.
        config: a configuration of Keras', as JSON gives it.

    Raises:
        DataError: it names something else.
    """
    for value in objects(config):
        for key in ("class_name", "registered_name"):
            # "bopkit>Bop": a name in a registry
            name = value.get(key)
            if name is not None and str(name).rpartition(">")[2] not in _KNOWN:
                raise DataError(
                    f"{path} holds {str(name)[:80]!r}, which is not among the layers and other "
                    "parts that bopkit loads, because it could run code: build the network in "
                    "code, and only if you trust the file, load its weights into it."
                )
        module = value.get("module")
        if module is not None and not any(
            str(module) == known or str(module).startswith(f"{known}.") for known in _MODULES
        ):
            raise DataError(
                f"{path} asks for the module {str(module)[:80]!r}, which bopkit does not load: it "
                "could run code."
            )
