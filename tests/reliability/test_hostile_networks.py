"""Hostile run folders: a network's weights are read as numbers, and nothing else is looked at."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
import saved_runs

import bopkit
from bopkit.errors import DataError

WEIGHTS = "model.weights.h5"
KERNEL = "layers/quant_dense_1/vars/0"
SIZES = {"filters": 8, "dense_units": 256}


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest")
    saved_runs.write_run(folder, **SIZES)
    return folder


@pytest.fixture
def run(honest, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(honest, tmp_path / "run")


def rewrite(run, compression=zipfile.ZIP_STORED, **changes):
    """The run's model.keras with some members changed; None leaves one out."""
    path = run / "model.keras"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | changes
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)


def edit(change):
    """Changes the HDF5 file within model.keras."""

    def apply(run):
        with zipfile.ZipFile(run / "model.keras") as archive:
            buffer = io.BytesIO(archive.read(WEIGHTS))
        with h5py.File(buffer, "r+") as file:
            change(file)
        rewrite(run, **{WEIGHTS: buffer.getvalue()})

    return apply


def replace(run, content):
    (run / "model.keras").write_bytes(content)


class Touch:
    """A pickle that leaves a file when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def in_place_of_a_kernel(make):
    def change(file):
        del file[KERNEL]
        make(file)

    return edit(change)


def from_another_file(file):
    external = [("/etc/passwd", 0, 4 * 256 * 256)]
    file.create_dataset(KERNEL, (256, 256), "f4", external=external)


def virtual(file):
    layout = h5py.VirtualLayout((256, 256), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (256, 256))
    file.create_virtual_dataset(KERNEL, layout)


def folder(run):
    (run / "model.keras").unlink()
    (run / "model.keras").mkdir()


def pipe(run):
    (run / "model.keras").unlink()
    os.mkfifo(run / "model.keras")


def nan(file):
    file[KERNEL][3, 3] = np.nan


def infinity(file):
    file["layers/batch_normalization_1/vars/2"][1] = np.inf  # a moving variance


def linked_to_each_other(file):
    file["layers/quant_dense_1/vars"]["again"] = file["layers"]
    del file[KERNEL]


def an_array_less(file):
    del file["layers/batch_normalization_3"]


NOT_KERAS = r"is not a \.keras file of bopkit's networks, or is damaged"
FILES = {
    "a pickle": (lambda run: replace(run, pickle.dumps(Touch(run / "proof"))), NOT_KERAS),
    "text": (lambda run: replace(run, b"import os"), NOT_KERAS),
    "nothing": (lambda run: replace(run, b""), NOT_KERAS),
    "a folder": (folder, "Is a directory"),
    "a pipe": (pipe, "a device or a pipe"),
    "weights left out": (lambda run: rewrite(run, **{WEIGHTS: None}), NOT_KERAS),
    "a pickle for weights": (
        lambda run: rewrite(run, **{WEIGHTS: pickle.dumps(Touch(run / "proof"))}),
        "cannot read .*damaged",
    ),
    "another compression": (lambda run: rewrite(run, zipfile.ZIP_BZIP2), NOT_KERAS),
    "zeros without end": (
        lambda run: rewrite(run, zipfile.ZIP_DEFLATED, **{WEIGHTS: bytes(2**28)}),
        NOT_KERAS,
    ),
    "a soft link": (
        in_place_of_a_kernel(lambda file: file.update({KERNEL: h5py.SoftLink("/x")})),
        NOT_KERAS,
    ),
    "a link to another file": (
        in_place_of_a_kernel(lambda f: f.update({KERNEL: h5py.ExternalLink("/etc/x", "/")})),
        NOT_KERAS,
    ),
    "numbers from another file": (in_place_of_a_kernel(from_another_file), NOT_KERAS),
    "numbers from a virtual set": (in_place_of_a_kernel(virtual), NOT_KERAS),
    "chunks never written": (
        in_place_of_a_kernel(lambda f: f.create_dataset(KERNEL, (256, 256), "f4", chunks=True)),
        NOT_KERAS,
    ),
    "numbers never written": (
        in_place_of_a_kernel(lambda file: file.create_dataset(KERNEL, (256, 256), "f4")),
        NOT_KERAS,
    ),
    "numbers of another type": (
        in_place_of_a_kernel(lambda file: file.update({KERNEL: np.zeros((256, 256))})),
        NOT_KERAS,
    ),
    "text for numbers": (
        in_place_of_a_kernel(lambda file: file.update({KERNEL: "x" * 100})),
        NOT_KERAS,
    ),
    "a group for numbers": (
        in_place_of_a_kernel(lambda file: file.create_group(KERNEL)),
        NOT_KERAS,
    ),
    "groups that hold each other": (edit(linked_to_each_other), NOT_KERAS),
    "an array less": (edit(an_array_less), NOT_KERAS),
    "another shape": (
        in_place_of_a_kernel(lambda f: f.update({KERNEL: np.ones((256, 255), "f4")})),
        "does not describe the network in model.keras .the weights have other shapes",
    ),
    "NaN": (edit(nan), "holds NaN or infinity in layers/quant_dense_1"),
    "infinity": (edit(infinity), "holds NaN or infinity in layers/batch_normalization_1/vars/2"),
}


def load(run):
    """One line that names the file, and no memory to speak of."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            bopkit.load_run(run)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()
    assert str(run) in str(caught.value) and "\n" not in str(caught.value)
    return caught


@pytest.mark.parametrize("name", FILES)
def test_weights_that_are_none_are_refused(name, run):
    damage, message = FILES[name]
    damage(run)
    assert load(run).match(message)
    assert not (run / "proof").exists()


DESCRIPTIONS = {
    "a Lambda": {"module": "keras.layers", "class_name": "Lambda", "config": {}},
    "a module": {"module": "evil", "class_name": "Dense", "config": {"units": 1}},
    "a function": {"module": "builtins", "class_name": "function", "config": "exec",
                   "registered_name": "function"},
    "no JSON": None,
}  # fmt: skip


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_the_description_in_the_file_is_not_looked_at(name, run, honest, monkeypatch):
    proof = run / "proof"
    (run / "evil.py").write_text(f"open({str(proof)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(run)
    description = DESCRIPTIONS[name]
    rewrite(run, **{"config.json": json.dumps(description) if description else b"\xff{"})
    for one, other in zip(
        bopkit.load_run(honest).get_weights(), bopkit.load_run(run).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert not proof.exists()


RECORDS = {
    "terabytes of weights": (
        {"filters": 10**6, "dense_units": 10**6},
        "more weights than the file",
    ),
    "more than numbers count": ({"dense_units": 2**53}, "more weights than the file"),
    "images of terabytes": ({"image_shape": [10**7, 10**7, 1]}, "more weights than the file"),
    "images that overflow": ({"image_shape": [2**50, 2**50, 1]}, "does not describe the network"),
    "images of text": ({"image_shape": "16x16"}, "needs images of"),
    "images of no size": ({"image_shape": None}, "needs images of"),
    "a network of nobody's": ({"network": "evil.Network"}, "unknown network 'evil.Network'"),
    "a precision without τ": ({"precision": "float16"}, "unknown precision 'float16'"),
    "sizes of another network": ({"network": "xnornet"}, "does not describe the network"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_describes_no_such_network_is_refused(name, run):
    changes, message = RECORDS[name]
    record = json.loads((run / "run.json").read_text())
    record["config"] |= changes
    (run / "run.json").write_text(json.dumps(record))
    assert load(run).match(message)
