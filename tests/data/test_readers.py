import errno
import gzip
import shutil
import struct
import urllib.error

import numpy as np
import pytest

import bopkit  # noqa: F401  # sets TF_USE_LEGACY_KERAS before TensorFlow is imported
from bopkit import data
from bopkit.data import checks, fashion_mnist, identity, prepare, tfds
from bopkit.errors import DataError

FASHION_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def raw(images):
    """Undoes the scaling."""
    return np.rint((images + 1) * 127.5).astype(np.uint8)


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


def test_real_fashion_mnist(require):
    folder = fashion_mnist.DEBIAN_FOLDER
    require(folder.is_dir(), "Debian's package dataset-fashion-mnist is not installed")
    real = data.load("fashion_mnist", data_dir=folder)
    assert (real.train_examples, real.validation_examples) == (60_000, 10_000)
    assert real.image_shape == (28, 28, 1)
    np.testing.assert_array_equal(np.bincount(real.train_labels), 6000)
    np.testing.assert_array_equal(np.bincount(real.validation_labels), 1000)
    # The order of the files mixes the classes, so that the first examples are a fair part.
    assert np.bincount(real.train_labels[:1000]).min() > 80
    assert real.train_labels[0] == 9, "the first image is an ankle boot"
    assert real.origin.official


@pytest.mark.parametrize("folder", ["", "fashion-mnist", "fashion_mnist", "FashionMNIST/raw"])
def test_where_fashion_mnist_is_looked_for(tmp_path, monkeypatch, folder):
    write_fashion_mnist(tmp_path / "here" / folder)
    write_fashion_mnist(tmp_path / "there", train=20)
    monkeypatch.setenv("BOPKIT_DATA_DIR", str(tmp_path / "here"))
    assert data.load("fashion_mnist").train_examples == 30
    assert data.load("fashion_mnist", data_dir=tmp_path / "there").train_examples == 20


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10", "imagenet2012", "image_folder"])
def test_an_environment_that_names_no_folder_is_not_passed_over(tmp_path, monkeypatch, name):
    monkeypatch.setenv("BOPKIT_DATA_DIR", str(tmp_path / "typo"))
    with pytest.raises(DataError, match=r"BOPKIT_DATA_DIR names .*typo, which is not a folder"):
        data.load(name)


def test_fashion_mnist_that_is_unzipped(tmp_path):
    write_fashion_mnist(tmp_path)
    zipped = data.load("fashion_mnist", data_dir=tmp_path)
    for file in FASHION_FILES[:3]:  # one stays as it was
        content = gzip.decompress((tmp_path / file).read_bytes())
        (tmp_path / file).unlink()
        (tmp_path / file.removesuffix(".gz")).write_bytes(content)
    unzipped = data.load("fashion_mnist", data_dir=tmp_path)
    assert unzipped.fingerprint == zipped.fingerprint and unzipped.origin.official is False
    labels = (tmp_path / FASHION_FILES[1].removesuffix(".gz")).read_bytes()
    (tmp_path / FASHION_FILES[0].removesuffix(".gz")).write_bytes(labels)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte is not the IDX file"):
        data.load("fashion_mnist", data_dir=tmp_path)


def test_keras_cache_of_fashion_mnist_is_used(tmp_path, monkeypatch):
    monkeypatch.delenv("BOPKIT_DATA_DIR", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path)
    write_fashion_mnist(tmp_path / "datasets" / "fashion-mnist")
    found = data.load("fashion_mnist")
    assert (found.train_examples, found.origin.path) == (30, tmp_path / "datasets/fashion-mnist")


def test_holdout_leaves_the_test_files_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "URL", "http://127.0.0.1:9/")
    write_fashion_mnist(tmp_path)
    for file in FASHION_FILES[2:]:
        (tmp_path / file).unlink()
    held = data.load("fashion_mnist", data_dir=tmp_path, holdout=10)
    assert (held.train_examples, held.validation_examples) == (20, 10)
    with pytest.raises(DataError, match="t10k-images"):
        data.load("fashion_mnist", data_dir=tmp_path)


def test_missing_fashion_mnist(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "URL", "http://127.0.0.1:9/")
    with pytest.raises(DataError, match=r"for train-images.*dataset-fashion") as caught:
        data.load("fashion_mnist", data_dir=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("named", ["data_dir", "BOPKIT_DATA_DIR", "KERAS_HOME"])
def test_fashion_mnist_is_downloaded_to_the_folder_that_is_read(tmp_path, monkeypatch, named):
    write_fashion_mnist(tmp_path / "server")
    monkeypatch.setattr(fashion_mnist, "URL", f"{(tmp_path / 'server').as_uri()}/")
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "not installed")
    place = tmp_path / ("keras/datasets" if named == "KERAS_HOME" else "mine")
    place.mkdir(parents=True)
    monkeypatch.delenv("BOPKIT_DATA_DIR", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    if named == "BOPKIT_DATA_DIR":
        monkeypatch.setenv(named, str(place))
    data_dir = place if named == "data_dir" else None
    summary = prepare.prepare("fashion_mnist", data_dir=data_dir)
    assert summary.examples == {"train": 30, "test": 12}
    assert summary.folder == summary.origin.path == place / "fashion-mnist"
    assert {path.name for path in summary.folder.iterdir()} == set(FASHION_FILES)
    shutil.rmtree(tmp_path / "server")
    assert data.load("fashion_mnist", data_dir=data_dir).fingerprint == summary.fingerprint


def test_fashion_mnist_that_cannot_be_downloaded_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "URL", "http://127.0.0.1:9/")
    with pytest.raises(DataError, match=r"could not download it \(URL fetch failure") as caught:
        data.load("fashion_mnist", data_dir=tmp_path / "mine")
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10", "imagenette"])
def test_a_folder_that_cannot_be_written_is_named_before_a_download(tmp_path, monkeypatch, name):
    def no_room(dir):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(checks.tempfile, "TemporaryFile", no_room)
    monkeypatch.setattr(fashion_mnist, "URL", (tmp_path / "server").as_uri())  # nothing is asked
    monkeypatch.setattr(tfds.urllib.request, "urlopen", None)
    with pytest.raises(DataError, match=r"mine.* cannot be written \(Read-only.*: name another"):
        data.load(name, data_dir=tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"/file is a file; data_dir must name a folder\.$"):
        data.load(name, data_dir=tmp_path / "file")


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
    tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
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
            tensorflow_datasets.download.DownloadManager,
            "download_and_extract",
            lambda self, url: folder / "archive",
        )
        patch.setattr(tfds.urllib.request, "urlopen", lambda request, timeout: None)
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


def test_prepare_fingerprints_what_tfds_prepared(cifar10_folder):
    summary = prepare.prepare("cifar10", data_dir=cifar10_folder)
    assert summary.examples == {"train": 100, "test": 20}
    assert summary.fingerprint == data.load("cifar10", data_dir=cifar10_folder).fingerprint
    assert f"fingerprint {summary.fingerprint['test']}" in str(summary)
    assert "form: prepared by TFDS" in str(summary)


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


def test_grey_cifar10_is_refused(cifar10_folder, tmp_path):
    copy = shutil.copytree(cifar10_folder / "cifar10", tmp_path / "cifar10")
    features = next(copy.rglob("features.json"))
    text = features.read_text()
    assert '"3"' in text
    features.write_text(text.replace('"3"', '"1"'))
    with pytest.raises(
        DataError, match=r"uint8 images of \(32, 32, 1\), not .*\(32, 32, 3\)"
    ) as caught:
        data.load("cifar10", data_dir=tmp_path)
    assert str(features.parent) in str(caught.value) and "\n" not in str(caught.value)


def test_cifar10_without_internet(tmp_path, monkeypatch):
    def fail(request, timeout):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(tfds.urllib.request, "urlopen", fail)
    folder = tmp_path / "of {0} and {name}"  # a message is no format string
    with pytest.raises(DataError, match="Name or service not known") as caught:
        data.load("cifar10", data_dir=folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_digits_are_those_of_scikit_learn_without_its_import(run_python):
    code = """
import sys
from bopkit.data import readers
from bopkit.book import toy
own = readers.scikit_learns_digits()
toy.digits()
assert "sklearn" not in sys.modules
from sklearn.datasets import load_digits
for ours, theirs in zip(own, load_digits(return_X_y=True), strict=True):
    assert ours.dtype == theirs.dtype and (ours == theirs).all()
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


# CIFAR-10's binary files.


def write_cifar10_binary(folder, train=7, test=5):
    """Six files of their authors' form; a pixel's red is 10 times its row, its green its label."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
        count = test if name == "test_batch" else train
        labels = (np.arange(count) % 10).astype(np.uint8)
        planes = np.zeros((count, 3, 32, 32), np.uint8)
        planes[:, 0] = 7 * np.arange(32)[:, None]
        planes[:, 1] = labels[:, None, None]
        rows = np.concatenate([labels[:, None], planes.reshape(count, -1)], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_cifar10_binary_files(tmp_path, inside):
    write_cifar10_binary(tmp_path / inside)
    found = data.load("cifar10", data_dir=tmp_path)
    assert (found.train_examples, found.validation_examples) == (35, 5)
    images, labels = map(np.asarray, (found.train_images, found.train_labels))
    np.testing.assert_array_equal(labels[:8], [0, 1, 2, 3, 4, 5, 6, 0])
    np.testing.assert_array_equal(images[3, :, 5, 0], 7 * np.arange(32))
    np.testing.assert_array_equal(images[3, :, :, 1], 3)


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: b"", lambda c: c + c * 2000])
def test_damaged_cifar10_binary_files(tmp_path, damage):
    write_cifar10_binary(tmp_path)
    file = tmp_path / "data_batch_3.bin"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(
        DataError, match=r"data_batch_3.bin (must hold|is not one).* get it again"
    ) as caught:
        data.load("cifar10", data_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_wrong_label_in_cifar10_binary_files(tmp_path):
    write_cifar10_binary(tmp_path)
    file = tmp_path / "test_batch.bin"
    file.write_bytes(bytes([77]) + file.read_bytes()[1:])
    with pytest.raises(DataError, match="label 77"):
        data.load("cifar10", data_dir=tmp_path)


# The fingerprint of a set.


def test_a_fingerprint_tells_labels_above_255_apart():
    images = np.zeros((2, 1, 1, 1), np.uint8)
    few, many = (identity.fingerprint(images, np.array([0, n])) for n in (1, 257))
    assert few != many


def test_the_digits_are_the_ones_that_scikit_learn_published():
    assert data.load("digits").origin.official
    assert data.load("digits", holdout=9).origin.official


def test_a_fingerprint_ignores_the_order_and_sees_every_pixel_and_label():
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (20, 4, 4, 3), np.uint8), np.arange(20) % 10
    before = identity.fingerprint(images, labels)
    order = random.permutation(20)
    assert identity.fingerprint(images[order], labels[order]) == before
    assert identity.fingerprint(images, labels[order]) != before
    images[13, 2, 1, 0] ^= 1
    assert identity.fingerprint(images, labels) != before


def test_a_loaded_set_names_what_was_read_in_full(tmp_path):
    write_cifar10_binary(tmp_path)
    whole = data.load("cifar10", data_dir=tmp_path).fingerprint
    part = data.load("cifar10", data_dir=tmp_path, train_examples=3, validation_examples=1)
    held = data.load("cifar10", data_dir=tmp_path, holdout=4)
    assert set(whole) == {"train", "test"} and part.fingerprint == whole
    assert held.fingerprint == {"train": whole["train"]}
