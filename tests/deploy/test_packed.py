"""One bit a binary weight, and back: the same network, and nothing that could be anything else."""

import io
import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bopkit import models
from bopkit.deploy import packed
from bopkit.errors import DataError

SMALL = {"filters": 8, "dense_units": 16}


def network(method="bop", seed=0, **sizes):
    tf.keras.utils.set_random_seed(seed)
    model = models.binarynet((12, 12, 1), 10, method=method, **(SMALL | sizes))
    random = np.random.default_rng(seed)
    # Batch normalization as after training: not what it begins with.
    for variable in model.weights:
        if "batch_norm" in variable.name:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


def images(count=50):
    return np.random.default_rng(1).uniform(-1, 1, (count, 12, 12, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "model.npz"
    packed.save_packed(network(), path)
    return path


@settings(max_examples=8, deadline=None)
@given(
    method=st.sampled_from(models.METHODS),
    filters=st.integers(1, 9),
    dense=st.integers(1, 17),
    seed=st.integers(0, 100),
)
@pytest.mark.slow
def test_it_predicts_the_same_bit_for_bit(tmp_path_factory, method, filters, dense, seed):
    model = network(method, seed, filters=filters, dense_units=dense)
    path = tmp_path_factory.mktemp("packed") / "model.npz"
    packed.save_packed(model, path)
    again = packed.load_packed(path)
    np.testing.assert_array_equal(
        model.predict(images(), verbose=0), again.predict(images(), verbose=0)
    )
    for one, other in zip(model.weights, again.weights, strict=True):
        kept = one.numpy()
        if getattr(one, "precision", None) == 1:  # of a latent weight, its sign
            kept = np.where(kept >= 0, 1, -1)
        np.testing.assert_array_equal(kept, other.numpy())


@pytest.mark.parametrize("name", ["xnornet", "birealnet"])
def test_real_layers_and_shortcuts_too(name, tmp_path):
    shape = (models.MINIMUM_SIZE[name], models.MINIMUM_SIZE[name], 3)
    model = models.NETWORKS[name](shape, 10)
    size = packed.save_packed(model, tmp_path / "model.npz")
    parameters, binary = models.count_weights(model)
    assert size < binary / 8 + 4 * (parameters - binary) + 20_000
    again = packed.load_packed(tmp_path / "model.npz")
    picture = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    np.testing.assert_array_equal(
        model.predict(picture, verbose=0), again.predict(picture, verbose=0)
    )


def test_the_file_is_what_its_description_says(file):
    """Read with NumPy alone, as whoever has no bopkit would."""
    model = network()
    with np.load(file, allow_pickle=False) as archive:
        header = json.loads(bytes(archive["header"]))
        assert (header["format"], header["version"]) == ("bopkit-packed", 1)
        for number, (variable, (_, shape, bits)) in enumerate(
            zip(model.weights, header["weights"], strict=True)
        ):
            values = archive[str(number)]
            if bits == 1:
                values = 2.0 * np.unpackbits(values, count=int(np.prod(shape))) - 1
            np.testing.assert_array_equal(values.reshape(shape), variable.numpy())


def test_the_same_network_gives_the_same_bytes(tmp_path):
    model = network()
    sizes = [packed.save_packed(model, tmp_path / name) for name in ("one.npz", "other.npz")]
    one, other = ((tmp_path / name).read_bytes() for name in ("one.npz", "other.npz"))
    assert one == other and sizes == [len(one)] * 2


def rewrite(source, target, change):
    """The file with some members changed."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def array(values):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(values), allow_pickle=True)
    return file.getvalue()


def edit(**changes):
    def change(members):
        header = json.loads(np.load(io.BytesIO(members["header.npy"])).tobytes())
        header |= changes
        members["header.npy"] = array(np.frombuffer(json.dumps(header).encode(), np.uint8))

    return change


LAMBDA = {
    "class_name": "Sequential",
    "config": {"layers": [{"class_name": "Lambda", "config": {"function": ["print", None, None]}}]},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("header.npy"), "is not a packed network, or is damaged"),
        (lambda m: m.pop("0.npy"), "is not a packed network, or is damaged"),
        (lambda m: m.update({"0.npy": m["1.npy"]}), "is not a packed network, or is damaged"),
        (lambda m: m.update({"0.npy": m["0.npy"][:-3]}), "is not a packed network, or is damaged"),
        (lambda m: m.update({"0.npy": array(np.zeros(10**6))}), "not a packed network, or is dam"),
        (lambda m: m.update({"1.npy": array([object()])}), "is not a packed network, or is damag"),
        (edit(format="something"), "its header says otherwise"),
        (edit(version=2), "is of version 2 of the format; this bopkit reads version 1"),
        (edit(weights=[["kernel", [1], 1]]), "holds weights of other shapes than its layers have"),
        (edit(network=LAMBDA), "holds 'Lambda', which is not among the layers"),
        (edit(network={"class_name": "Sequential"}), "is not a packed network, or is damaged"),
    ],
)
def test_damaged_and_hostile_files_are_refused_in_one_line(file, tmp_path, change, message):
    path = tmp_path / "wrong.npz"
    rewrite(file, path, change)
    with pytest.raises(DataError, match=message) as caught:
        packed.load_packed(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_cut_short_at_any_byte_it_is_refused(file, tmp_path):
    content = file.read_bytes()
    path = tmp_path / "cut.npz"
    for length in np.linspace(0, len(content) - 1, 40, dtype=int):
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            packed.load_packed(path)


def test_a_flipped_bit_is_noticed(file, tmp_path):
    """The archive has a checksum of each member."""
    content = bytearray(file.read_bytes())
    path = tmp_path / "flipped.npz"
    refused, expected = 0, network().predict(images(), verbose=0)
    places = np.linspace(60, len(content) // 2, 15, dtype=int)
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        try:
            again = packed.load_packed(path)
        except DataError:
            refused += 1
        else:  # a byte that means nothing, such as a date
            np.testing.assert_array_equal(again.predict(images(), verbose=0), expected)
    assert refused >= 10


def test_a_network_that_could_not_be_loaded_again_is_not_saved(tmp_path):
    model = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Lambda(lambda x: 2 * x)])
    with pytest.raises(DataError, match="this network holds 'Lambda'"):
        packed.save_packed(model, tmp_path / "model.npz")
    broken = network()
    broken.weights[1].assign(np.full(broken.weights[1].shape, np.nan))
    with pytest.raises(DataError, match="holds NaN"):
        packed.save_packed(broken, tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*: No such file"):
        packed.load_packed(tmp_path / "none.npz")
    with pytest.raises(DataError, match=r"cannot read .*: Is a directory"):
        packed.load_packed(tmp_path)
