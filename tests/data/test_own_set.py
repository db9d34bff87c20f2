"""A data set of one's own: a reader and one row of the registry, and everything else works."""

import numpy as np
import pytest

import bopkit
from bopkit import data
from bopkit.data import prepare
from bopkit.errors import DataError


def read(split, data_dir):
    """Images of one colour per class."""
    labels = np.arange({"train": 60, "test": 21}[split]) % 3
    images = np.zeros((len(labels), 16, 16, 3), np.uint8)
    images[np.arange(len(labels)), :, :, labels] = 255
    return images, labels


@pytest.fixture
def colours(monkeypatch):
    row = data.DataSet("colours", num_classes=3, read=read)
    monkeypatch.setitem(data.DATASETS, row.name, row)


def test_one_row_adds_a_set_that_loads_and_trains(colours, tmp_path):
    loaded = data.load("colours")
    assert (loaded.num_classes, loaded.train_examples, loaded.validation_examples) == (3, 60, 21)
    images, labels = next(iter(loaded.validation_batches(6)))
    np.testing.assert_array_equal(labels, np.tile(np.eye(3), (2, 1)))
    np.testing.assert_array_equal(images[1, 0, 0], [-1, 1, -1])

    record = bopkit.train(
        "binarynet/bop",
        output_dir=tmp_path,
        dataset="colours",
        hparams={"epochs": 2, "batch_size": 10, "filters": 4, "dense_units": 8},
        progress=False,
        tensorboard=False,
    )
    assert record["status"] == "completed" and record["dataset"] == "colours"
    assert 0 <= record["final"]["val_accuracy"] <= 1


def test_a_set_of_arrays_needs_no_preparation(colours):
    summary = prepare.prepare("colours")
    assert summary.examples == {"train": 60, "test": 21}
    assert str(summary).startswith("colours is there\n  train: 60 examples\n    fingerprint ")


IMAGES, LABELS = read("train", None)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES / 255, LABELS, r"train images .* must be uint8 .*; got float64 of shape \(60, 16"),
        (IMAGES.astype(int), LABELS, "got int64 of shape"),
        (IMAGES[..., 0], LABELS, r"height, width, channels\); got uint8 of shape \(60, 16, 16\)"),
        (IMAGES, LABELS[:, None], r"labels .* of shape \(60,\), .*; got int64 of shape \(60, 1\)"),
        (IMAGES, LABELS[:59], r"one for each image; got int64 of shape \(59,\)"),
        (IMAGES, LABELS / 1, "must be integers .*; got float64"),
        (IMAGES, LABELS - 1, "holds the label -1"),
        (IMAGES[:, :9], LABELS, r"one shape; got \(9, 16, 3\) for training and \(16, 16, 3\)"),
    ],
)
def test_arrays_that_are_no_images_with_labels_are_refused(images, labels, message, monkeypatch):
    row = data.DataSet(
        "colours", 3, read=lambda split, _: (images, labels) if split == "train" else read(split, _)
    )
    monkeypatch.setitem(data.DATASETS, row.name, row)
    with pytest.raises(DataError, match=message):
        data.load("colours")


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint32, np.uint64])
def test_labels_of_any_integer_type(kind, monkeypatch):
    row = data.DataSet("colours", 3, read=lambda *given: (IMAGES, LABELS.astype(kind)))
    monkeypatch.setitem(data.DATASETS, row.name, row)
    _, labels = next(iter(data.load("colours").validation_batches(3)))
    np.testing.assert_array_equal(labels, np.eye(3))


def test_its_labels_are_checked_against_its_number_of_classes(monkeypatch):
    row = data.DataSet("colours", num_classes=2, read=read)
    monkeypatch.setitem(data.DATASETS, row.name, row)
    with pytest.raises(DataError, match=r"colours holds the label 2; .* from 0 to 1"):
        data.load("colours")


def test_without_its_row_it_does_not_exist():
    with pytest.raises(DataError, match="unknown dataset 'colours'"):
        data.load("colours")
