import gzip
import struct
import urllib.error
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bopkit  # noqa: F401  # sets TF_USE_LEGACY_KERAS before TensorFlow is imported

import tensorflow as tf  # isort: skip

from bopkit import data, sources
from bopkit.data import DataError

FASHION_MNIST = sources.DEBIAN_FASHION_MNIST
FASHION_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def batches(dataset):
    return [(images.numpy(), labels.numpy()) for images, labels in dataset]


def assert_same(left, right):
    assert len(left) == len(right)
    for (images, labels), (other_images, other_labels) in zip(left, right, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def multiset(images, labels):
    return Counter(
        (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
    )


def raw(images):
    """Undoes the scaling."""
    return np.rint((images + 1) * 127.5).astype(np.uint8)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", preprocess="resize_and_flip", train_examples=300)


@pytest.fixture(scope="module")
def sequence(digits):
    return batches(digits.train_batches(48, seed=3, epochs=3))


@pytest.fixture
def fashion_mnist(require):
    require(FASHION_MNIST.is_dir(), "Debian's package dataset-fashion-mnist is not installed")
    return data.load("fashion_mnist", preprocess="resize_and_flip")


# The order, the augmentation and what they depend on.


def test_batches_are_full_and_in_one_pipeline(digits, sequence):
    assert digits.steps_per_epoch(48) == 6
    assert len(sequence) == 18
    dataset = digits.train_batches(48, seed=3, epochs=3)
    assert int(dataset.cardinality()) == 18
    assert dataset.element_spec[0].shape == (48, 8, 8, 1)
    assert dataset.element_spec[1].shape == (48, 10)


def test_same_seed_same_batches(digits, sequence):
    tf.random.set_seed(1234)
    assert_same(sequence, batches(digits.train_batches(48, seed=3, epochs=3)))


def test_other_seed_other_batches(digits, sequence):
    other = batches(digits.train_batches(48, seed=4, epochs=1))
    assert not np.array_equal(other[0][0], sequence[0][0])


def test_number_of_epochs_does_not_change_the_sequence(digits, sequence):
    assert_same(sequence[:6], batches(digits.train_batches(48, seed=3, epochs=1)))


@settings(max_examples=10, deadline=None)
@given(start_epoch=st.integers(0, 3), start_step=st.integers(0, 7))
def test_resuming_continues_bit_for_bit(digits, sequence, start_epoch, start_step):
    resumed = digits.train_batches(
        48, seed=3, epochs=3, start_epoch=start_epoch, start_step=start_step
    )
    rest = sequence[6 * start_epoch + start_step :]
    assert int(resumed.cardinality()) == len(rest)
    assert_same(rest, batches(resumed))


@settings(max_examples=4, deadline=None)
@given(count=st.sampled_from([2, 3, 4]), seed=st.integers(0, 2**40))
def test_shards_are_the_global_batch(digits, count, seed):
    whole = batches(digits.train_batches(24, seed=seed, epochs=1))
    for index in range(count):
        shard = batches(digits.train_batches(24, seed=seed, epochs=1, shard=(index, count)))
        assert_same([(x[index::count], y[index::count]) for x, y in whole], shard)


def test_every_epoch_sees_every_example_at_most_once_with_its_label():
    digits = data.load("digits")
    available = multiset(digits.train_images.numpy(), digits.train_labels.numpy())
    epochs = []
    for epoch in range(2):
        seen = batches(digits.train_batches(100, seed=0, epochs=epoch + 1, start_epoch=epoch))
        images = raw(np.concatenate([images for images, _ in seen]))
        labels = np.concatenate([labels for _, labels in seen])
        assert len(images) == 1400
        np.testing.assert_array_equal(labels.sum(1), 1)
        assert not multiset(images, labels.argmax(1)) - available
        epochs.append(images)
    assert not np.array_equal(*epochs)


def test_a_set_that_the_batch_divides_is_seen_whole():
    digits = data.load("digits", train_examples=300)
    seen = batches(digits.train_batches(100, seed=0, epochs=1))
    images, labels = (np.concatenate(part) for part in zip(*seen, strict=True))
    assert multiset(raw(images), labels.argmax(1)) == multiset(
        digits.train_images.numpy(), digits.train_labels.numpy()
    )


# Augmentation, scaling, resizing.


def variants(image, pad):
    """Every crop of the zero-padded image, as it is and flipped."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    for top in range(2 * pad + 1):
        for left in range(2 * pad + 1):
            crop = padded[top : top + height, left : left + width]
            yield (top, left, False), crop
            yield (top, left, True), crop[:, ::-1]


def test_augmentation_is_a_crop_of_the_padded_image_perhaps_flipped():
    digits = data.load("digits")
    images = digits.train_images[:400]
    random = tf.random.stateless_uniform((3, 400), (1, 2))
    found = Counter()
    for image, augmented in zip(images.numpy(), data.crop_and_flip(images, random), strict=True):
        matching = [key for key, crop in variants(image, 1) if np.array_equal(crop, augmented)]
        assert matching
        if len(matching) == 1:
            found[matching[0]] += 1
    assert len(found) == 18, "each of 3 x 3 places, flipped or not, should occur"


def test_augmented_batches_are_the_plain_ones_augmented(fashion_mnist):
    plain = data.load("fashion_mnist").train_batches(20, seed=0, epochs=1).take(3)
    augmented = fashion_mnist.train_batches(20, seed=0, epochs=1).take(3)
    for (images, labels), (others, other_labels) in zip(
        batches(plain), batches(augmented), strict=True
    ):
        np.testing.assert_array_equal(labels, other_labels)
        for image, other in zip(raw(images), raw(others), strict=True):
            assert any(np.array_equal(crop, other) for _, crop in variants(image, pad=3))


def test_images_of_one_batch_are_augmented_each_in_its_own_way(digits):
    same = tf.repeat(digits.train_images[:1], 64, axis=0)
    random = tf.random.stateless_uniform((3, 64), (0, 0))
    assert len({image.numpy().tobytes() for image in data.crop_and_flip(same, random)}) > 8


def test_padding_is_black_before_scaling():
    white = np.full((4, 32, 32, 3), 255, np.uint8)
    labels = np.zeros(4, np.int64)
    made = data.InMemory("cifar10", (white, labels), (white, labels), None, None, "resize_and_flip")
    images = np.concatenate([x for x, _ in batches(made.train_batches(4, seed=0, epochs=8))])
    assert set(np.unique(images)) == {-1.0, 1.0}
    black = (images[..., 0] == -1).sum((1, 2))
    assert black.max() <= 32 * 32 - 28 * 28
    validation = np.concatenate([x for x, _ in batches(made.validation_batches(4))])
    assert (validation == 1).all()


def test_values_and_types():
    digits = data.load()
    images, labels = next(iter(digits.train_batches(200, seed=0, epochs=1)))
    assert (images.dtype, labels.dtype) == (tf.float32, tf.float32)
    assert digits.train_images.dtype == tf.uint8
    assert int(tf.reduce_max(digits.train_images)) == 255
    assert float(tf.reduce_min(images)) == -1
    assert float(tf.reduce_max(images)) == 1
    assert digits.image_shape == (8, 8, 1)
    assert digits.num_classes == 10
    assert (digits.train_examples, digits.validation_examples) == (1437, 360)


def test_resizing_and_channels():
    digits = data.load("digits", image_size=32, channels=3)
    assert digits.image_shape == (32, 32, 3)
    images, _ = next(iter(digits.validation_batches(16)))
    native = tf.cast(digits.validation_images[:16], tf.float32)
    wanted = tf.image.resize(native, (32, 32)) / 127.5 - 1
    np.testing.assert_allclose(images, np.repeat(wanted, 3, axis=-1), atol=1e-6)
    training, _ = next(iter(digits.train_batches(16, seed=0, epochs=1)))
    assert training.shape == (16, 32, 32, 3)


def test_digits_split_is_stratified():
    digits = data.load("digits")
    counts = np.bincount(digits.validation_labels, minlength=10)
    assert counts.min() >= 34
    assert counts.max() <= 38


# Validation, holding out, taking a part.


def test_validation_is_whole_ordered_and_reusable():
    digits = data.load("digits")
    dataset = digits.validation_batches(100)
    seen = batches(dataset)
    assert [len(images) for images, _ in seen] == [100, 100, 100, 60]
    np.testing.assert_array_equal(
        raw(np.concatenate([images for images, _ in seen])), digits.validation_images
    )
    np.testing.assert_array_equal(
        np.concatenate([labels for _, labels in seen]).argmax(1), digits.validation_labels
    )
    assert_same(seen, batches(dataset))
    assert int(dataset.cardinality()) == 4


@pytest.mark.parametrize("examples", [16, 17, 18, 23])
def test_validation_shards_have_equally_many_batches_and_lose_nothing(examples):
    digits = data.load("digits", validation_examples=examples)
    whole = batches(digits.validation_batches(8))
    for index in range(4):
        shard = batches(digits.validation_batches(8, shard=(index, 4)))
        assert_same([(x[index::4], y[index::4]) for x, y in whole], shard)


def test_holdout_is_a_part_of_the_training_set():
    full, held = data.load("digits"), data.load("digits", holdout=400)
    assert (held.train_examples, held.validation_examples) == (1037, 400)
    train = multiset(held.train_images.numpy(), held.train_labels.numpy())
    validation = multiset(held.validation_images.numpy(), held.validation_labels.numpy())
    assert train + validation == multiset(full.train_images.numpy(), full.train_labels.numpy())
    again = data.load("digits", holdout=400, train_examples=100, validation_examples=50)
    np.testing.assert_array_equal(again.train_images, held.train_images[:100])
    np.testing.assert_array_equal(again.validation_images, held.validation_images[:50])


def test_holdout_leaves_the_test_files_unread(tmp_path):
    write_fashion_mnist(tmp_path)
    for file in FASHION_FILES[2:]:
        (tmp_path / file).unlink()
    held = data.load("fashion_mnist", data_dir=tmp_path, holdout=10)
    assert (held.train_examples, held.validation_examples) == (20, 10)
    with pytest.raises(DataError, match="t10k-images"):
        data.load("fashion_mnist", data_dir=tmp_path)


def test_first_examples_are_taken():
    full, part = data.load("digits"), data.load("digits", train_examples=50, validation_examples=7)
    assert (part.train_examples, part.validation_examples) == (50, 7)
    np.testing.assert_array_equal(part.train_images, full.train_images[:50])
    np.testing.assert_array_equal(part.validation_labels, full.validation_labels[:7])


# What is refused: one sentence each.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "fashion-mnist"}, "did you mean 'fashion_mnist'"),
        ({"name": "imagenet"}, "did you mean 'imagenet2012'"),
        ({"name": "nosuch"}, "digits, fashion_mnist, cifar10, imagenet2012"),
        ({"preprocess": "flip"}, "default, resize_and_flip"),
        ({"image_size": 0}, "image_size"),
        ({"channels": 2}, "channels=2"),
        ({"train_examples": 0}, "train_examples must be between 1 and the 1437"),
        ({"train_examples": 1438}, "not 1438"),
        ({"validation_examples": 361}, "between 1 and the 360"),
        ({"holdout": 1437}, "holdout"),
        ({"holdout": -1}, "holdout"),
        ({"holdout": 37, "train_examples": 1401}, "between 1 and the 1400"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(DataError, match=message) as caught:
        data.load(**arguments)
    assert "\n" not in str(caught.value)


def test_bad_batches(digits):
    with pytest.raises(DataError, match="300 training examples"):
        digits.train_batches(301, seed=0, epochs=1)
    with pytest.raises(DataError, match="multiple of the 3 workers"):
        digits.train_batches(100, seed=0, epochs=1, shard=(0, 3))
    with pytest.raises(DataError, match="multiple of the 3 workers"):
        digits.validation_batches(100, shard=(0, 3))
    with pytest.raises(DataError, match="index < count"):
        digits.validation_batches(100, shard=(2, 2))
    with pytest.raises(DataError, match="batch_size"):
        digits.validation_batches(0)


# Fashion-MNIST's files.


def write_fashion_mnist(folder, train=30, test=12):
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for (images, labels), count in zip(
        (FASHION_FILES[:2], FASHION_FILES[2:]), (train, test), strict=True
    ):
        pixels = random.integers(0, 256, (count, 28, 28), np.uint8)
        header = struct.pack(">4I", 0x803, count, 28, 28)
        (folder / images).write_bytes(gzip.compress(header + pixels.tobytes()))
        classes = (np.arange(count) % 10).astype(np.uint8)
        header = struct.pack(">2I", 0x801, count)
        (folder / labels).write_bytes(gzip.compress(header + classes.tobytes()))


def test_real_fashion_mnist(fashion_mnist):
    assert (fashion_mnist.train_examples, fashion_mnist.validation_examples) == (60_000, 10_000)
    assert fashion_mnist.image_shape == (28, 28, 1)
    np.testing.assert_array_equal(np.bincount(fashion_mnist.train_labels), 6000)
    np.testing.assert_array_equal(np.bincount(fashion_mnist.validation_labels), 1000)
    # The order of the files mixes the classes, so that the first examples are a fair part.
    assert np.bincount(fashion_mnist.train_labels[:1000]).min() > 80
    assert fashion_mnist.train_labels[0] == 9, "the first image is an ankle boot"


@pytest.mark.parametrize("folder", ["", "fashion-mnist", "fashion_mnist"])
def test_where_fashion_mnist_is_looked_for(tmp_path, monkeypatch, folder):
    write_fashion_mnist(tmp_path / "here" / folder)
    write_fashion_mnist(tmp_path / "there", train=20)
    monkeypatch.setenv("BOPKIT_DATA_DIR", str(tmp_path / "here"))
    assert data.load("fashion_mnist").train_examples == 30
    assert data.load("fashion_mnist", data_dir=tmp_path / "there").train_examples == 20


def test_missing_fashion_mnist(tmp_path):
    with pytest.raises(DataError, match=r"for train-images.*dataset-fashion") as caught:
        data.load("fashion_mnist", data_dir=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fashion_mnist_falls_back_to_keras(tmp_path, monkeypatch):
    monkeypatch.delenv("BOPKIT_DATA_DIR", raising=False)
    monkeypatch.setattr(sources, "DEBIAN_FASHION_MNIST", tmp_path)
    images, labels = np.zeros((5, 28, 28), np.uint8), np.arange(5, dtype=np.uint8)
    monkeypatch.setattr(
        tf.keras.datasets.fashion_mnist, "load_data", lambda: ((images, labels), (images, labels))
    )
    assert data.load("fashion_mnist").train_examples == 5

    def fail():
        raise Exception("URL fetch failure:\nno network")  # Keras raises no narrower one

    monkeypatch.setattr(tf.keras.datasets.fashion_mnist, "load_data", fail)
    with pytest.raises(DataError, match=r"could not download it \(URL fetch failure:\)") as caught:
        data.load("fashion_mnist")
    assert "\n" not in str(caught.value)


def cut(content):
    return content[:-100]


def flip_bits(content):
    return content[:50] + bytes(byte ^ 0xFF for byte in content[50:60]) + content[60:]


def wrong_magic(content):
    return gzip.compress(b"\0\0\x08\x02" + gzip.decompress(content)[4:])


def too_short(content):
    return gzip.compress(gzip.decompress(content)[:-1])


def not_gzip(content):
    return b"<html>not found</html>"


def empty(content):
    return b""


@pytest.mark.parametrize("damage", [cut, flip_bits, wrong_magic, too_short, not_gzip, empty])
def test_damaged_fashion_mnist_is_named(tmp_path, damage):
    write_fashion_mnist(tmp_path)
    path = tmp_path / FASHION_FILES[0]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=path.name) as caught:
        data.load("fashion_mnist", data_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_fashion_mnist_files_that_do_not_fit_each_other(tmp_path):
    write_fashion_mnist(tmp_path)
    labels = tmp_path / FASHION_FILES[1]
    labels.write_bytes(gzip.compress(struct.pack(">2I", 0x801, 29) + bytes(29)))
    with pytest.raises(DataError, match=r"30 images, but .* 29 labels"):
        data.load("fashion_mnist", data_dir=tmp_path)
    labels.write_bytes(gzip.compress(struct.pack(">2I", 0x801, 30) + bytes(29) + b"\x0a"))
    with pytest.raises(DataError, match="label 10"):
        data.load("fashion_mnist", data_dir=tmp_path)


# CIFAR-10, through TFDS's own builder on a small archive of the real form.


@pytest.fixture(scope="module")
def cifar10_folder(tmp_path_factory):
    tfds = pytest.importorskip("tensorflow_datasets")
    folder = tmp_path_factory.mktemp("cifar10")
    files = folder / "archive" / "cifar-10-batches-bin"
    files.mkdir(parents=True)
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    (files / "batches.meta.txt").write_text(names.replace(" ", "\n") + "\n")
    random = np.random.default_rng(0)
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        labels = np.arange(20, dtype=np.uint8) % 10
        # Red, green and blue planes, one after the other; red is the label.
        pixels = random.integers(0, 256, (20, 3, 1024), np.uint8)
        pixels[:, 0] = labels[:, None]
        records = np.concatenate([labels[:, None], pixels.reshape(20, -1)], axis=1)
        (files / f"{name}.bin").write_bytes(records.tobytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            tfds.download.DownloadManager,
            "download_and_extract",
            lambda self, url: folder / "archive",
        )
        patch.setattr(sources.urllib.request, "urlopen", lambda request, timeout: None)
        prepared = data.load("cifar10", data_dir=folder)
        assert (prepared.train_examples, prepared.validation_examples) == (100, 20)
    return folder


def test_cifar10(cifar10_folder, monkeypatch):
    monkeypatch.setenv("BOPKIT_DATA_DIR", str(cifar10_folder))
    cifar10 = data.load("cifar10", preprocess="resize_and_flip")
    assert cifar10.image_shape == (32, 32, 3)
    np.testing.assert_array_equal(cifar10.train_images[:, 16, 16, 0], cifar10.train_labels)
    images, labels = next(iter(cifar10.validation_batches(20)))
    np.testing.assert_array_equal(raw(images.numpy())[:, 0, 0, 0], labels.numpy().argmax(1))
    assert next(iter(cifar10.train_batches(10, seed=0, epochs=1)))[0].shape == (10, 32, 32, 3)
    with pytest.raises(DataError, match="channels=1"):
        data.load("cifar10", channels=1)


def test_damaged_cifar10(cifar10_folder, tmp_path):
    version = next((cifar10_folder / "cifar10").glob("*.*.*"))
    copy = tmp_path / "cifar10" / version.name
    copy.mkdir(parents=True)
    for file in version.iterdir():
        content = file.read_bytes()
        (copy / file.name).write_bytes(content[:1000] if "train" in file.name else content)
    with pytest.raises(DataError, match="is cut short or damaged") as caught:
        data.load("cifar10", data_dir=tmp_path)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cifar10_without_internet(tmp_path, monkeypatch):
    def fail(request, timeout):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(sources.urllib.request, "urlopen", fail)
    with pytest.raises(DataError, match="Name or service not known") as caught:
        data.load("cifar10", data_dir=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(Path(tmp_path).iterdir())
