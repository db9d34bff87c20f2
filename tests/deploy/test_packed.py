"""One bit per binary weight, and back: the same network, and nothing that could be another."""

import io
import json
import os
import tracemalloc
import zipfile

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import bopkit
from bopkit import models
from bopkit.deploy import exporting
from bopkit.errors import ConfigError, DataError

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
    bopkit.save_packed(network(), path)
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
    bopkit.save_packed(model, path)
    again = network(method, seed + 1, filters=filters, dense_units=dense)
    assert bopkit.load_packed(path, into=again) is again
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
    size = bopkit.save_packed(model, tmp_path / "model.npz")
    parameters, binary = models.count_weights(model)
    assert size < binary / 8 + 4 * (parameters - binary) + 20_000
    again = bopkit.load_packed(tmp_path / "model.npz", into=models.NETWORKS[name](shape, 10))
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
    sizes = [bopkit.save_packed(model, tmp_path / name) for name in ("one.npz", "other.npz")]
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


def claims(shape):
    """An array of a few bytes whose header says that it has this shape."""
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def holding(number, value):
    """One real-valued weight is this; of batch normalization's, 1 is β and 2 a moving mean."""

    def change(members):
        values = np.load(io.BytesIO(members[f"{number}.npy"]))
        values[-1] = value
        members[f"{number}.npy"] = array(values)

    return change


DAMAGED = "is not a packed network, or is damaged"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("header.npy"), DAMAGED),
        (lambda m: m.pop("0.npy"), DAMAGED),
        (lambda m: m.update({"0.npy": m["1.npy"]}), DAMAGED),
        (lambda m: m.update({"0.npy": m["0.npy"][:-3]}), DAMAGED),
        (lambda m: m.update({"0.npy": array(np.zeros(10**6))}), DAMAGED),
        (lambda m: m.update({"1.npy": array([object()])}), DAMAGED),
        (lambda m: m.update({"0.npy": claims((10**12,))}), DAMAGED),
        (lambda m: m.update({"header.npy": claims((10**12,))}), DAMAGED),
        (lambda m: m.update({"header.npy": array(np.zeros(65 * 2**20, np.uint8))}), DAMAGED),
        (lambda m: m.update({"header.npy": array(np.frombuffer(b"[" * 10**5, np.uint8))}), DAMAGED),
        (holding(1, np.nan), r"holds NaN or infinity in batch_normalization\w*/beta"),
        (holding(2, np.inf), r"holds NaN or infinity in batch_normalization\w*/moving_mean"),
        (holding(3, -np.inf), r"holds NaN or infinity in batch_normalization\w*/moving_variance"),
        (edit(format="something"), "its header does not name the format bopkit-packed"),
        (edit(version=2), "has version 2 of the format, and this bopkit reads version 1"),
        (edit(version=["x" * 10**6]), r"has version \['xx"),
        (edit(weights=[["kernel", [1], 1]]), r"holds 1 weights and the network has \d+"),
        (edit(weights=[["kernel", [10**12], 1]] * 36), "holds weights of other shapes"),
        (edit(weights=[None] * 36), DAMAGED),
        (edit(weights=[["kernel", {}, "1"]] * 36), "holds weights of other shapes"),
        (edit(weights=7), DAMAGED),
    ],
)
def test_damaged_and_hostile_files_are_refused_in_one_line(file, tmp_path, change, message):
    path = tmp_path / "wrong.npz"
    rewrite(file, path, change)
    model = network(seed=1)
    before = model.get_weights()
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message) as caught:
            bopkit.load_packed(path, into=model)
        assert tracemalloc.get_traced_memory()[1] < 2**26  # whatever the file claims
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value) and len(str(caught.value)) < 300 + len(str(path))
    assert "\n" not in str(caught.value)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # the network stays as it was


@pytest.mark.parametrize(
    "description",
    [
        None,
        {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda"}]}},
        {"module": "evil", "class_name": "function", "config": "run"},
    ],
)
def test_the_description_in_the_file_is_not_looked_at(file, tmp_path, description):
    rewrite(file, tmp_path / "model.npz", edit(network=description))
    model = bopkit.load_packed(tmp_path / "model.npz", into=network(seed=1))
    np.testing.assert_array_equal(
        model.predict(images(), verbose=0), network().predict(images(), verbose=0)
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"filters": 9}, r"weight 0 is \[\[3, 3, 1, 8\], 1\] there and \[\[3, 3, 1, 9\], 1\] here"),
        ({"dense_units": 17}, "holds weights of other shapes than the network"),
    ],
)
def test_a_network_of_other_sizes_is_not_filled(file, other, message):
    with pytest.raises(DataError, match=message):
        bopkit.load_packed(file, into=network(**other))


def test_a_network_without_binary_weights_is_not_filled(tmp_path):
    """Of the same shapes, but a real-valued kernel: its bits differ."""
    plain = tf.keras.Sequential([tf.keras.layers.Dense(8, use_bias=False)])
    plain.build((None, 3))
    quantizer = models.SteSign()
    binary = [lq.layers.QuantDense(8, use_bias=False, kernel_quantizer=quantizer)]
    binary = tf.keras.Sequential(binary)
    binary.build((None, 3))
    bopkit.save_packed(binary, tmp_path / "model.npz")
    with pytest.raises(DataError, match=r"\[\[3, 8\], 1\] there and \[\[3, 8\], 32\] here"):
        bopkit.load_packed(tmp_path / "model.npz", into=plain)


def test_only_a_built_network_is_filled(file):
    for into in ("model.npz", tf.keras.Sequential([tf.keras.layers.Dense(3)])):
        with pytest.raises(ConfigError, match="into must be a built Keras model, such as"):
            bopkit.load_packed(file, into=into)


def test_cut_short_at_any_byte_it_is_refused(file, tmp_path):
    content, model = file.read_bytes(), network()
    path = tmp_path / "cut.npz"
    for length in np.linspace(0, len(content) - 1, 40, dtype=int):
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            bopkit.load_packed(path, into=model)


def test_a_flipped_bit_is_noticed(file, tmp_path):
    """The archive has a checksum of each member."""
    content = bytearray(file.read_bytes())
    path = tmp_path / "flipped.npz"
    refused, model = 0, network()
    expected = model.predict(images(), verbose=0)
    places = np.linspace(60, len(content) // 2, 15, dtype=int)
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        try:
            bopkit.load_packed(path, into=model)
        except DataError:
            refused += 1
        else:  # a byte that means nothing, such as a date
            np.testing.assert_array_equal(model.predict(images(), verbose=0), expected)
    assert refused >= 10


@pytest.mark.parametrize(
    ("method", "number", "value", "message"),
    [
        ("bop", 1, np.nan, r"the network holds NaN or infinity in batch_normalization\w*/beta"),
        ("bop", 3, np.inf, r"holds NaN or infinity in batch_normalization\w*/moving_variance"),
        ("bop", 0, 0.3, r"uses values other than -1 and \+1 in quant_conv2d\w*/kernel"),
        ("bop", 0, np.inf, r"holds NaN or infinity in quant_conv2d\w*/kernel"),
        ("latent", 0, -np.inf, r"holds NaN or infinity in quant_conv2d\w*/kernel"),
    ],
)
def test_a_network_that_could_not_be_loaded_again_is_not_saved(
    tmp_path, method, number, value, message
):
    broken = network(method)
    values = broken.weights[number].numpy()
    values.flat[-1] = value
    broken.weights[number].assign(values)
    with pytest.raises(DataError, match=message):
        bopkit.save_packed(broken, tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "rounded", "kept"),
    [("float64", 0.1, 0.5), ("int64", 2**24 + 1, 2**24), ("bfloat16", None, 0.1)],
)
def test_numbers_that_float32_would_round_are_not_saved(tmp_path, kind, rounded, kept):
    def build(value):
        layer = tf.keras.layers.Layer(name="layer")
        layer.add_weight("scale", (1,), kind, trainable=False)
        model = tf.keras.Sequential([tf.keras.layers.Input((1,)), layer])
        layer.weights[0].assign(tf.constant([value], kind))
        return model

    path, model = tmp_path / "model.npz", build(kept)
    bopkit.save_packed(model, path)
    (loaded,) = bopkit.load_packed(path, into=build(0)).weights
    assert loaded.dtype == kind and loaded.numpy() == model.weights[0].numpy()
    if rounded is not None:
        path.unlink()
        with pytest.raises(DataError, match=f"scale:0 is {kind} and holds numbers that float32"):
            bopkit.save_packed(build(rounded), path)
        assert list(tmp_path.iterdir()) == []


def test_a_quantizer_that_scales_is_not_one_bit_wide(tmp_path):
    """Nor is it given to Larq's converter, whose file could predict nearly the same."""
    scales = lq.quantizers.MagnitudeAwareSign()
    layer = lq.layers.QuantDense(8, use_bias=False, kernel_quantizer=scales)
    model = tf.keras.Sequential([layer])
    model.build((None, 3))
    layer.kernel.assign(np.full((3, 8), 0.3))
    said = r"uses values other than -1 and \+1 in quant_dense\w*/kernel"
    with pytest.raises(DataError, match=said):
        bopkit.save_packed(model, tmp_path / "model.npz")
    for format in exporting.FORMATS:
        with pytest.raises(DataError, match=said):
            exporting.write(model, None, format, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_plain_variable_that_is_marked_as_binary_takes_one_bit(tmp_path):
    def build():
        layer = tf.keras.layers.Dense(8, use_bias=False, kernel_initializer=bopkit.RandomSign())
        model = tf.keras.Sequential([layer])
        model.build((None, 3))
        layer.kernel.precision = 1
        return model

    model = build()
    bopkit.save_packed(model, tmp_path / "model.npz")
    again = bopkit.load_packed(tmp_path / "model.npz", into=build())
    np.testing.assert_array_equal(model.get_weights(), again.get_weights())


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*: No such file"):
        bopkit.load_packed(tmp_path / "none.npz", into=network())
    with pytest.raises(DataError, match=r"cannot read .*: Is a directory"):
        bopkit.load_packed(tmp_path, into=network())
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(DataError, match=r"cannot read .*: it is a device or a pipe"):
        bopkit.load_packed(tmp_path / "pipe.npz", into=network())
