"""CIFAR-10 in every form in which people have it: the same images, and nothing of a pickle runs."""

import hashlib
import io
import os
import pickle
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from small_runs import run, stopped_at_row

from bopkit import data
from bopkit._support.files import only_one
from bopkit.data import cifar10, cifar10_files, prepare, tfds
from bopkit.errors import ConfigError, DataError

NAMES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]


def batch(name):
    """Pixels of a batch as (n, 3072) planes, and its labels."""
    random = np.random.default_rng(NAMES.index(name))
    return random.integers(0, 256, (7, 3072), np.uint8), random.integers(0, 10, 7, np.uint8)


def write_binary(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        pixels, labels = batch(name)
        (folder / f"{name}.bin").write_bytes(np.c_[labels, pixels].tobytes())


def write_python(folder, protocol=2):
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        pixels, labels = batch(name)
        content = {
            b"batch_label": name.encode(),
            b"labels": labels.tolist(),
            b"data": pixels,
            b"filenames": [b"%d.png" % n for n in range(7)],
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol))


def pack(folder, archive):
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)


def write(place, form):
    """One of the forms, in a place."""
    kind, _, packed = form.partition(" ")
    name, archive = {
        "python": ("cifar-10-batches-py", "cifar-10-python.tar.gz"),
        "binary": ("cifar-10-batches-bin", "cifar-10-binary.tar.gz"),
    }[kind]
    folder = (place / "unpacked" if packed else place) / name
    {"python": write_python, "binary": write_binary}[kind](folder)
    if packed:
        pack(folder, place / archive)


FORMS = ("python", "binary", "python packed", "binary packed")


@pytest.fixture(autouse=True)
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "no cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "no tfds"))
    monkeypatch.setattr(cifar10, "URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_images(tmp_path, form):
    write(tmp_path, form)
    found = data.load("cifar10", data_dir=tmp_path)
    pixels, labels = map(np.concatenate, zip(*map(batch, NAMES[:5]), strict=True))
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(found.train_images, images)
    np.testing.assert_array_equal(found.train_labels, labels)
    np.testing.assert_array_equal(found.validation_labels, batch("test_batch")[1])
    write(tmp_path / "other", "binary")
    assert found.fingerprint == data.load("cifar10", data_dir=tmp_path / "other").fingerprint


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_batches_of_every_protocol(tmp_path, protocol):
    write_python(tmp_path, protocol)
    assert data.load("cifar10", data_dir=tmp_path).train_examples == 35


@pytest.mark.parametrize(
    "inside", ["cifar-10-batches-py", "cifar-10-batches-py-target/cifar-10-batches-py"]
)
def test_keras_cache_is_used(tmp_path, monkeypatch, inside):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    write_python(tmp_path / "datasets" / inside)
    assert data.load("cifar10").train_examples == 35
    with pytest.raises(DataError, match="CIFAR-10 is not there"):
        data.load("cifar10", data_dir=tmp_path / "named")  # a named folder is the only one


@pytest.mark.parametrize("form", FORMS)
def test_prepare_says_what_it_found_where(tmp_path, form):
    write(tmp_path, form)
    summary = prepare.prepare("cifar10", data_dir=tmp_path)
    assert summary.examples == {"train": 35, "test": 7}
    assert str(tmp_path) in str(summary.folder)
    kind, _, packed = form.partition(" ")
    name = {"python": "Python's batches", "binary": "binary files"}[kind]
    assert f"form: {name}{', archive' if packed else ''}\n" in str(summary)
    assert summary.fingerprint == data.load("cifar10", data_dir=tmp_path).fingerprint
    # Nobody publishes checksums of single binary files.
    assert summary.origin.official is (None if form == "binary" else False)


@pytest.mark.parametrize("form", ["python", "binary packed"])
def test_files_with_the_published_checksums_are_the_authors_own(tmp_path, monkeypatch, form):
    write(tmp_path, form)
    kind, name = {"python": (0, "md5"), "binary packed": (1, "sha256")}[form]
    sums = {
        path.name: hashlib.new(name, path.read_bytes()).hexdigest()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    forms = list(cifar10_files.FORMS)
    forms[kind] = replace(forms[kind], sums=sums)
    monkeypatch.setattr(cifar10_files, "FORMS", forms)
    assert data.load("cifar10", data_dir=tmp_path).origin.official is True
    if form == "python":  # each file has its own checksum
        first, second = (tmp_path / "cifar-10-batches-py" / name for name in NAMES[:2])
        second.write_bytes(first.read_bytes())
        assert data.load("cifar10", data_dir=tmp_path).origin.official is False


def test_an_archive_that_is_gone_is_a_line(tmp_path):
    gone = cifar10_files.Source(cifar10_files.FORMS[0], tmp_path / "gone.tar.gz", packed=True)
    with pytest.raises(DataError, match=r"gone\.tar\.gz cannot be read: No such file"):
        gone.is_official(("train",))


def serve(place, tensorflow_datasets, monkeypatch, begun=lambda: None):
    """Have TFDS find what it would download in a place; a download calls `begun`."""
    write_binary(place / "cifar-10-batches-bin")
    (place / "cifar-10-batches-bin" / "batches.meta.txt").write_text("\n".join("abcdefghij"))
    manager = tensorflow_datasets.download.DownloadManager
    monkeypatch.setattr(manager, "download_and_extract", lambda self, url: begun() or place)
    monkeypatch.setattr(tfds.urllib.request, "urlopen", lambda request, timeout: None)


def test_of_two_that_lack_the_set_one_downloads_it(tmp_path, monkeypatch):
    """As the runs of a sweep do, which begin together."""
    tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
    both = threading.Barrier(2)
    downloads = []

    def download():
        downloads.append(1)
        lock, busy = tmp_path / "mine" / ".download.lock", DataError("busy")
        with pytest.raises(DataError, match="busy"), only_one(lock, busy):
            pass  # another would download too

    serve(tmp_path / "server", tensorflow_datasets, monkeypatch, download)
    # Both have looked for the set before one of them downloads it.
    monkeypatch.setattr(tfds.urllib.request, "urlopen", lambda *_, **__: both.wait(timeout=60))
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(data.load, "cifar10", data_dir=tmp_path / "mine") for _ in range(2)]
    assert [call.result().train_examples for call in calls] == [35, 35]
    assert len(downloads) == 1


def test_a_run_resumes_on_a_moved_copy_and_not_on_one_in_another_order(tmp_path, monkeypatch):
    """TFDS shuffles what it prepares: other images would be held out, after training on them."""
    tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    first = tmp_path / "keras" / "datasets"
    write(first, "python packed")
    hparams = {"epochs": 2, "batch_size": 5, "dense_units": 8}
    settings = {"dataset": "cifar10", "holdout": 10, "hparams": hparams}
    with stopped_at_row(2):
        run(tmp_path / "run", **settings)

    serve(tmp_path / "server", tensorflow_datasets, monkeypatch)
    tensorflow_datasets.builder("cifar10", data_dir=tmp_path / "no tfds").download_and_prepare()
    begun = r"began with the data in .*/cifar-10-python\.tar\.gz \(Python's batches, archive\)"
    with pytest.raises(ConfigError, match=rf"{begun}.* /.*/cifar10/3\.\d\.\d \(prepared by TFDS\)"):
        run(tmp_path / "run", **settings)

    (first / "unpacked").rename(tmp_path / "moved")  # what was in the archive
    record = run(tmp_path / "run", data_dir=tmp_path / "moved", **settings)
    assert record["status"] == "completed" and record["starts"][-1]["from_epoch"] == 1
    assert run(tmp_path / "run", **settings) == record  # nothing is left to resume


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HOSTILE = {
    "a command": lambda: pickle.dumps({b"data": Evil(os.system, "touch ran")}),
    "a builtin": lambda: pickle.dumps(Evil(eval, "open('ran', 'w')")),
    "NumPy's loader": lambda: pickle.dumps({b"data": Evil(np.load, "ran")}),
    "an extension": lambda: b"\x80\x02\x82\x01.",
    "a persistent id": lambda: b"Pran\n.",
    "a deep nest": lambda: b"\x80\x02" + b"(" * 100_000 + b"l" * 100_000 + b".",
    # The memo would get 2 ** 32 places.
    "a far memo": lambda: b"\x80\x02Nr\xff\xff\xff\x7f.",
    "terabytes": lambda: pickle.dumps({b"data": Evil(np.ndarray, (2**40,)), b"labels": [1]}),
    "bytes of a number": lambda: (
        b"\x80\x02cnumpy.core.numeric\n_frombuffer\n(J\xff\xff\xff\x7fX\x02\x00\x00\x00u1K\x07tR."
    ),
    "a list": lambda: pickle.dumps([1, 2]),
    "no labels": lambda: pickle.dumps({b"data": batch("test_batch")[0]}),
    "labels of text": lambda: pickle.dumps({b"data": batch("test_batch")[0], b"labels": ["a"] * 7}),
    "fewer labels": lambda: pickle.dumps({b"data": batch("test_batch")[0], b"labels": [1] * 6}),
    "an array of floats": lambda: pickle.dumps({b"data": np.zeros((7, 3072)), b"labels": [1] * 7}),
    "another shape": lambda: pickle.dumps(
        {b"data": np.zeros((7, 32, 32, 3), np.uint8), b"labels": [1] * 7}
    ),
    "columns first": lambda: pickle.dumps(
        {b"data": np.zeros((7, 3072), np.uint8, order="F"), b"labels": [1] * 7}, 2
    ),
    "half": lambda: pickle.dumps({b"data": batch("test_batch")[0]})[:1000],
    "nothing": lambda: b"",
    "a page": lambda: b"<html>not found</html>",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_batch_runs_nothing_and_is_named(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    write_python(tmp_path)
    (tmp_path / "data_batch_4").write_bytes(content())
    with pytest.raises(DataError, match=r"data_batch_4 .*get it again\.$") as caught:
        data.load("cifar10", data_dir=tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_batch_that_asks_for_code_says_so(tmp_path):
    write_python(tmp_path)
    (tmp_path / "test_batch").write_bytes(HOSTILE["a command"]())
    with pytest.raises(DataError, match=r"it asks for \w+\.system, .* could run code"):
        data.load("cifar10", data_dir=tmp_path)


def _archive(*members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


ARCHIVES = {
    "cut short": lambda whole: whole[:-300],
    "no archive": lambda whole: b"<html>not found</html>",
    "nothing": lambda whole: b"",
    "others' files": lambda whole: _archive(("README", b"x")),
    "a flood": lambda whole: _archive(*((f"zeros{n}", bytes(2**16)) for n in range(17))),
}


@pytest.mark.parametrize("change", ARCHIVES.values(), ids=ARCHIVES)
def test_a_damaged_archive_is_named(tmp_path, monkeypatch, change):
    monkeypatch.setattr(cifar10_files, "LARGEST_ARCHIVE", 2**20)
    write(tmp_path, "binary packed")
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz ") as caught:
        data.load("cifar10", data_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_member_that_leads_out_of_the_archive_writes_nothing(tmp_path):
    write(tmp_path, "binary packed")
    members = [
        (f"../../{name}.bin", (tmp_path / f"unpacked/cifar-10-batches-bin/{name}.bin").read_bytes())
        for name in NAMES
    ]
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(_archive(*members))
    before = sorted(tmp_path.parent.rglob("*"))
    assert data.load("cifar10", data_dir=tmp_path).train_examples == 35
    assert sorted(tmp_path.parent.rglob("*")) == before
