"""A run's folder gives back the run's network: the same layers, precision and predictions."""

import json

import numpy as np
import pytest
import saved_runs
import tensorflow as tf

import bopkit
from bopkit import records
from bopkit.errors import DataError, RecordError

SMALL = {"filters": 8, "dense_units": 16}


@pytest.mark.parametrize(
    ("name", "shape", "classes", "changes"),
    [
        ("binarynet/bop", (16, 16, 1), 10, SMALL),
        ("binarynet/default", (12, 14, 3), 7, SMALL),  # latent weights
        ("binarynet/bop", (16, 16, 1), 10, SMALL | {"precision": "mixed_bfloat16"}),
        ("birealnet/bop", (32, 32, 3), 3, {}),  # not a sequence of layers
    ],
)
def test_a_runs_network_predicts_the_same(tmp_path, name, shape, classes, changes):
    saved = saved_runs.write_run(tmp_path, name, shape, classes, **changes)
    policy = tf.keras.mixed_precision.global_policy()
    loaded = bopkit.load_run(tmp_path)
    images = np.random.default_rng(1).normal(size=(20, *shape)).astype(np.float32)
    np.testing.assert_array_equal(*(m.predict(images, verbose=0) for m in (saved, loaded)))
    for one, other in zip(saved.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [m.dtype for m in saved.layers] == [m.dtype for m in loaded.layers]
    assert tf.keras.mixed_precision.global_policy() is policy
    trainable = [[v.shape for v in m.trainable_variables] for m in (saved, loaded)]
    assert trainable[0] == trainable[1]


def test_a_run_without_a_network_is_explained(tmp_path):
    with pytest.raises(RecordError, match=r"cannot read .*run\.json"):
        bopkit.load_run(tmp_path)
    saved_runs.write_run(tmp_path, **SMALL)
    (tmp_path / "model.keras").unlink()
    with pytest.raises(DataError, match=r"cannot read .*model\.keras: No such file"):
        bopkit.load_run(tmp_path)
    record = records.read(tmp_path)
    error = "the\ndisk was full\x1b[2J\u202e"  # a record may come from anyone
    records.write(tmp_path, record | {"status": "failed", "error": error})
    said = r"not complete \(the disk was full\\x1b\[2J\\u202e\): give its command"
    with pytest.raises(DataError, match=said):
        bopkit.load_run(tmp_path)


@pytest.mark.parametrize("changes", [{"filters": 9}, {"dense_units": 17}, {"network": "birealnet"}])
def test_a_network_that_the_record_does_not_describe_is_refused(tmp_path, changes):
    saved_runs.write_run(tmp_path, **SMALL)
    record = json.loads((tmp_path / "run.json").read_text())
    record["config"] |= changes
    if "network" in changes:
        record["config"] |= {"filters": None, "dense_units": None, "image_shape": [32, 32, 3]}
    records.write(tmp_path, record)
    with pytest.raises(DataError, match=r"run\.json does not describe the network in model\.keras"):
        bopkit.load_run(tmp_path)
