"""Getting the datasets: what is checked first, what an interruption leaves, what is said."""

import contextlib
import gzip
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from types import SimpleNamespace

import pytest

import bopkit  # noqa: F401  # sets TF_USE_LEGACY_KERAS before TensorFlow is imported
from bopkit import cli, data
from bopkit.data import cifar10, fashion_mnist, prepare, tfds
from bopkit.data.imagenet import archives, drawn
from bopkit.errors import BopkitError, ConfigError, DataError

tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
TRAIN, VALIDATION = 24, 12
TRAIN_TAR, VALIDATION_TAR = (archive.name for archive in archives.ARCHIVES)

# The command line with a builder that writes to disk from the first image on, and slowly.
SLOW = """
import sys, time
from tensorflow_datasets.core import shuffle

shuffle.MAX_MEM_BUFFER_SIZE = 0
add = shuffle.Shuffler.add

def slow(*arguments):
    time.sleep(0.3)
    return add(*arguments)

shuffle.Shuffler.add = slow
from bopkit import cli

sys.argv[0] = "bopkit"
cli.main()
"""


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    """The archives; TFDS's own preparation of them stands beside."""
    folder = tmp_path_factory.mktemp("prepare")
    drawn.prepare_imagenet_sample(folder, train=TRAIN, validation=VALIDATION)
    return folder / "manual"


@pytest.fixture
def manual(originals, tmp_path):
    return shutil.copytree(originals, tmp_path / "manual")


@pytest.fixture
def no_building(monkeypatch):
    """For what must be noticed before the work begins."""

    def build(*_):
        raise AssertionError("the work has begun")

    monkeypatch.setattr("bopkit.data.imagenet.build.build", build)


def members(path):
    """(TarInfo, content) of an archive's members."""
    with tarfile.open(path) as archive:
        return [(member, archive.extractfile(member).read()) for member in archive]


def write(path, entries):
    with tarfile.open(path, "w") as archive:
        for member, content in entries:
            archive.addfile(member, io.BytesIO(content))


def member(name, content=b"", kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    return info, content


def refused(message, name="imagenet2012", **arguments):
    """That preparing fails with this message, in one line; returns the line."""
    with pytest.raises(BopkitError, match=message) as caught:
        prepare.prepare(name, progress=False, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ImageNet, from archives to batches.


def test_small_archives_become_what_tfds_makes_of_them(originals, tmp_path, capsys):
    summary = prepare.prepare("imagenet2012", manual_dir=originals, data_dir=tmp_path)
    said = capsys.readouterr().out
    assert said.count("% (") == 5, "a line at the start, and two per archive"
    assert "reading ILSVRC2012_img_train.tar: 0% (0.00B of " in said
    assert "writing the validation split: 100% (" in said
    assert "13 classes, not the full ImageNet" in said
    assert "12 images, not the full ImageNet" in said
    assert summary.examples == {"train": TRAIN, "validation": VALIDATION}
    assert summary.shards == {"train": 1, "validation": 1}
    assert "not the full ImageNet, which has 1,281,167 and 50,000 images" in str(summary)
    assert "train: 24 examples in 1 file\n" in str(summary)
    assert summary.size > 1e6 and str(summary.folder) in str(summary)

    by_tfds = tmp_path / "by_tfds"
    tensorflow_datasets.builder("imagenet2012", data_dir=by_tfds).download_and_prepare(
        download_dir=tmp_path / "downloads",
        download_config=tensorflow_datasets.download.DownloadConfig(manual_dir=originals),
    )
    for path in tfds.find_prepared("imagenet2012", [by_tfds]).iterdir():
        assert (summary.folder / path.name).read_bytes() == path.read_bytes(), path.name
    assert {path.name for path in (tmp_path / "imagenet2012").iterdir()} == {summary.folder.name}
    assert not (tmp_path / "imagenet2012.incomplete").exists()

    small = data.load("imagenet2012", data_dir=tmp_path, image_size=32)
    assert (small.train_examples, small.validation_examples) == (TRAIN, VALIDATION)
    images, _ = next(iter(small.train_batches(8, seed=0, epochs=1)))
    assert images.shape == (8, 32, 32, 3)


def test_any_part_of_the_validation_images_keeps_its_classes(manual, tmp_path):
    # TFDS alone takes the first of them for ImageNet's first image, and so on.
    entries = [entry for entry in members(manual / VALIDATION_TAR) if entry[0].name[-6] in "357"]
    # As `tar -C FOLDER -cf ARCHIVE .` names them on a Mac.
    entries = [member("."), member("./._ILSVRC2012_val_00000003.JPEG", b"mac"), *entries]
    entries[0][0].type = tarfile.DIRTYPE
    for info, _ in entries[2:]:
        info.name = f"./{info.name}"
    write(manual / VALIDATION_TAR, entries)
    # The manual folder may hold a test archive, which is not prepared, nor looked at.
    (manual / "ILSVRC2012_img_test.tar").write_bytes(b"no archive")
    # Members that lead out of the folder write nothing there, nor anywhere.
    outer = members(manual / TRAIN_TAR)
    info, content = outer[0]
    inner = io.BytesIO(content)
    with tarfile.open(fileobj=inner, mode="a") as archive:
        for name in ("../../../escaped.JPEG", "/escaped.JPEG", f"{tmp_path}/escaped.JPEG"):
            extra, byte = member(name, b"x")
            archive.addfile(extra, io.BytesIO(byte))
    info.size = len(inner.getvalue())
    write(manual / TRAIN_TAR, [(info, inner.getvalue()), *outer[1:]])

    where = {"manual_dir": manual, "data_dir": tmp_path / "d"}
    refused("escaped.JPEG leads out of the folder; .* --skip-damaged", **where)
    summary = prepare.prepare("imagenet2012", skip_damaged=True, progress=False, **where)
    assert summary.examples == {"train": TRAIN, "validation": 3}
    assert not list(tmp_path.rglob("*escaped*")) and not os.path.exists("/escaped.JPEG")
    labels = archives.imagenet_list("validation_labels.txt")
    builder = tensorflow_datasets.builder_from_directory(summary.folder)
    for example in tensorflow_datasets.as_numpy(builder.as_dataset(split="validation")):
        number = int(example["file_name"].decode()[-13:-5])
        assert builder.info.features["label"].int2str(example["label"]) == labels[number - 1]


def test_a_prepared_set_needs_no_archives_and_is_left_as_it_is(originals, capsys):
    done = originals.parent / "tfds"
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    for manual_dir in (None, "nowhere", originals):
        summary = prepare.prepare("imagenet2012", manual_dir=manual_dir, data_dir=done)
        assert summary.examples == {"train": TRAIN, "validation": VALIDATION}
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before
    assert capsys.readouterr().out == ""


def test_a_set_that_another_process_has_just_prepared_is_not_prepared_again(
    originals, tmp_path, monkeypatch, no_building
):
    done = tfds.find_prepared("imagenet2012", [originals.parent / "tfds"])

    @contextlib.contextmanager
    def late(path, busy):
        shutil.copytree(done, path.parent / "imagenet2012" / done.name)
        yield

    monkeypatch.setattr("bopkit.data.imagenet.prepare.only_one", late)
    summary = prepare.prepare(
        "imagenet2012", manual_dir=originals, data_dir=tmp_path, progress=False
    )
    assert summary.folder == tmp_path / "imagenet2012" / done.name
    assert summary.examples == {"train": TRAIN, "validation": VALIDATION}


# Interrupted, in processes of their own.


def start(originals, folder):
    command = ["data", "prepare", "imagenet2012", "--manual-dir", originals, "--data-dir", folder]
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job, which the tests may be, has Ctrl-C ignored and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(process, folder, pattern):
    for _ in range(600):
        if list(folder.rglob(pattern)):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"no {pattern}: {process.communicate()}")


@pytest.mark.slow
def test_interrupted_anywhere_then_run_again(originals, tmp_path):
    work = tmp_path / "imagenet2012.incomplete"
    process = start(originals, tmp_path)
    wait_for(process, work, "*.tmp")
    # A second one at the same time would take the first one's folder away.
    refused("another process is preparing", manual_dir=originals, data_dir=tmp_path)
    process.kill()
    process.communicate()
    assert list(work.rglob("*.tmp"))
    with pytest.raises(DataError, match="ImageNet is not there"):
        data.load("imagenet2012", data_dir=tmp_path)

    process = start(originals, tmp_path)
    said = ""
    while "preparing: 0%" not in said:
        line = process.stdout.readline()
        assert line, process.communicate()
        said += line
    assert f"removing {work}, which an interrupted preparation left" in said
    wait_for(process, work, "*.tmp")
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 143
    advice = "bopkit: stopped by the system; to start over, repeat the command."
    assert error.splitlines()[-1] == advice
    assert "Traceback" not in error
    assert not work.exists()

    prepare.prepare("imagenet2012", manual_dir=originals, data_dir=tmp_path, progress=False)
    assert data.load("imagenet2012", data_dir=tmp_path).train_examples == TRAIN


def test_ctrl_c_removes_what_is_half_done(originals, tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        assert list(tmp_path.glob("*.incomplete"))
        raise KeyboardInterrupt

    monkeypatch.setattr("tensorflow_datasets.core.shuffle.Shuffler.add", interrupt)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the tests keep their own handlers
    with pytest.raises(SystemExit) as caught:
        cli.prepare("imagenet2012", manual_dir=originals, data_dir=tmp_path)
    assert caught.value.code == 130
    assert capsys.readouterr().err == "bopkit: interrupted; to start over, repeat the command.\n"
    assert {path.name for path in tmp_path.iterdir()} == {".imagenet2012.lock"}


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_a_bar_in_a_terminal_and_a_line_per_minute_elsewhere(
    originals, tmp_path, monkeypatch, capsys, terminal
):
    seconds = itertools.count(0, 10)  # at each look at the clock, ten seconds have passed
    monkeypatch.setattr("tqdm.std.time", lambda: float(next(seconds)))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    prepare.prepare("imagenet2012", manual_dir=originals, data_dir=tmp_path)
    out, err = capsys.readouterr()
    assert ("|" in err and "\r" in err) is terminal
    lines = [line for line in out.splitlines() if "% (" in line]
    assert "\r" not in out
    # Five lines say what begins, and the others come once per minute: not per image.
    assert not lines if terminal else 5 < len(lines) < 5 + (TRAIN + VALIDATION) / 2


def test_what_tfds_left_by_itself_is_named_and_kept(originals, tmp_path, capsys):
    left = tmp_path / "imagenet2012" / "incomplete.ABC123_5.1.0"
    left.mkdir(parents=True)
    prepare.prepare("imagenet2012", manual_dir=originals, data_dir=tmp_path)
    assert f"{left} is not bopkit's" in capsys.readouterr().out
    assert left.exists()


def test_a_failure_on_the_way_is_one_line_and_leaves_nothing(originals, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorflow_datasets.core.shuffle.Shuffler.add", full)
    refused("could not be prepared: .*No space left", manual_dir=originals, data_dir=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".imagenet2012.lock"}


def test_a_gap_in_archives_of_the_full_size_is_noticed_in_the_end(originals, tmp_path, monkeypatch):
    path = originals / TRAIN_TAR
    full = archives.Archive("train", path.name, path.stat().st_size, TRAIN + 1)
    monkeypatch.setattr(archives, "ARCHIVES", (full, archives.ARCHIVES[1]))
    refused(f"only {TRAIN} of its {TRAIN + 1} images", manual_dir=originals, data_dir=tmp_path)
    assert tfds.find_prepared("imagenet2012", [tmp_path]) is None


# Refused before the work begins.


def test_no_archives(manual, tmp_path, no_building):
    where = {"data_dir": tmp_path / "d"}
    for manual_dir in (None, tmp_path / "nowhere"):
        assert "register at image-net.org" in refused(
            "--manual-dir", manual_dir=manual_dir, **where
        )
    (manual / VALIDATION_TAR).rename(manual / "val.tar")
    line = refused(f"lacks {VALIDATION_TAR}", manual_dir=manual, **where)
    assert "it holds val.tar: rename what is meant" in line and "image-net.org" in line
    shutil.rmtree(manual)
    manual.mkdir()
    refused(f"lacks {TRAIN_TAR} and {VALIDATION_TAR};", manual_dir=manual, **where)
    assert not (tmp_path / "d").exists()


def layout(path):
    """Where the second member's header is, and where the last member ends."""
    with tarfile.open(path) as archive:
        archive.getmembers()
        return archive.getmembers()[1].offset, archive.offset


DAMAGE = {
    "in the middle of an image": (lambda c, header, end: c[: len(c) * 7 // 10], "cut short"),
    "between two images": (lambda c, header, end: c[:header], "cut short at"),
    "after the last image": (lambda c, header, end: c[:end], "cut short at"),
    "at the beginning": (lambda c, header, end: b"", "not an uncompressed tar archive"),
    "a web page": (lambda c, header, end: b"<html>Log in</html>" * 999, "not an uncompressed tar"),
    "compressed": (lambda c, header, end: gzip.compress(c, 1), "not an uncompressed tar archive"),
    "a bad header": (lambda c, header, end: c[:header] + b"x" + c[header + 1 :], "damaged after"),
    "a gap": (lambda c, header, end: c[:header] + bytes(99_999) + c[header + 99_999 :], "damaged"),
    "a gap up to the end": (lambda c, header, end: c[:header] + bytes(len(c) - header), "damaged"),
    "only allocated": (lambda c, header, end: bytes(len(c)), "damaged after byte 0"),
    "empty": (lambda c, header, end: bytes(10240), "holds no images"),
}


@pytest.mark.parametrize("name", [TRAIN_TAR, VALIDATION_TAR])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_archives(manual, tmp_path, no_building, name, damage):
    change, message = DAMAGE[damage]
    content = (manual / name).read_bytes()
    (manual / name).write_bytes(change(content, *layout(manual / name)))
    line = refused(message, manual_dir=manual, data_dir=tmp_path / "d")
    assert name in line
    if "cut short at" in message:
        assert "of the full archive's" in line
    assert not list((tmp_path / "d").glob("imagenet2012*"))


@pytest.mark.parametrize(
    ("name", "extra", "message"),
    [
        (TRAIN_TAR, member("n00000000.tar", b"x" * 600), "must hold an archive nNNNNNNNN.tar"),
        (TRAIN_TAR, member("train/n01440764.tar", b"x" * 600), "in no folder"),
        (TRAIN_TAR, member("n01440764.JPEG", b"x" * 600), "must hold an archive"),
        (TRAIN_TAR, member("../n01440764.tar", b"x" * 600), "must hold an archive"),
        (TRAIN_TAR, member("/n01440764.tar", b"x" * 600), "must hold an archive"),
        (TRAIN_TAR, member("n01440764.tar", b"x" * 600), "n01440764.tar is not a tar archive"),
        (TRAIN_TAR, member("n01440764.tar"), "n01440764.tar is not a tar archive"),
        (TRAIN_TAR, member("n01440764.tar", kind=tarfile.SYMTYPE), "twice, as a link or with gaps"),
        (
            VALIDATION_TAR,
            member("ILSVRC2012_val_00000001.JPEG", b"x"),
            "twice, as a link or with gaps",
        ),
        (VALIDATION_TAR, member("ILSVRC2012_val_00050001.JPEG", b"x"), "ImageNet's own names"),
        (VALIDATION_TAR, member("val/ILSVRC2012_val_00000100.JPEG", b"x"), "in no folder"),
        (VALIDATION_TAR, member("n01440764_1.JPEG", b"x"), "they tell the classes"),
    ],
)
def test_members_that_tfds_could_not_read_or_would_mislabel(
    manual, tmp_path, no_building, name, extra, message
):
    write(manual / name, [*members(manual / name), extra])
    assert name in refused(message, manual_dir=manual, data_dir=tmp_path)


def test_too_little_space(manual, tmp_path, no_building, monkeypatch):
    size = sum(path.stat().st_size for path in manual.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size))
    line = refused("make room, or name another folder", manual_dir=manual, data_dir=tmp_path)
    assert f"has {size / 1e6:.2f}MB of free space and imagenet2012 takes" in line
    refused("make room", name="cifar10", data_dir=tmp_path / "not" / "there")


def test_a_file_in_the_place_of_the_folder(manual, tmp_path, no_building):
    (tmp_path / "file").touch()
    refused(
        "file is a file; data_dir must name a folder", manual_dir=manual, data_dir=tmp_path / "file"
    )


def test_a_set_that_is_not_whole_is_not_taken_for_prepared(originals, tmp_path, no_building):
    prepared = tfds.find_prepared("imagenet2012", [originals.parent / "tfds"])
    copied = shutil.copytree(prepared, tmp_path / "imagenet2012" / prepared.name)
    lost = next(copied.glob("*-train.tfrecord-00001-*"))
    lost.unlink()
    line = refused("has 3 of the 4 files of its train split", data_dir=tmp_path)
    assert f"{copied} has" in line and "remove it" in line
    (copied / "dataset_info.json").write_text("{")
    refused("cannot be read", data_dir=tmp_path)
    (copied / "dataset_info.json").unlink()
    refused("has no dataset_info.json", manual_dir=originals, data_dir=tmp_path)


def test_a_set_prepared_without_one_of_the_archives(manual, tmp_path):
    (manual / TRAIN_TAR).unlink()
    tensorflow_datasets.builder("imagenet2012", data_dir=tmp_path).download_and_prepare(
        download_dir=tmp_path / "downloads",
        download_config=tensorflow_datasets.download.DownloadConfig(manual_dir=manual),
    )
    refused(f"has no train images: .* with {TRAIN_TAR}", data_dir=tmp_path)


# The other sets, and the command line.


def test_names_and_arguments_that_do_not_fit():
    with pytest.raises(DataError, match="did you mean fashion_mnist"):
        prepare.prepare("fashion-mnist")
    with pytest.raises(ConfigError, match="digits takes no --manual-dir"):
        prepare.prepare("digits", manual_dir=".")


def test_fashion_mnist_is_where_it_was_found(tmp_path, monkeypatch, require):
    monkeypatch.setattr(fashion_mnist, "URL", "http://127.0.0.1:9/")
    folder = fashion_mnist.DEBIAN_FOLDER
    require(folder.is_dir(), "dataset-fashion-mnist is not installed")
    summary = prepare.prepare("fashion_mnist", data_dir=folder)
    assert summary.folder == folder
    assert summary.examples == {"train": 60_000, "test": 10_000}
    refused(
        "Fashion-MNIST is not there: looked for .* could not download .*; put its four",
        "fashion_mnist",
        data_dir=tmp_path,
    )


def test_cifar10_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    refused("CIFAR-10 is not there: looked in .* could not download", "cifar10", data_dir=tmp_path)


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_cifar10_in_its_authors_files_is_not_downloaded(tmp_path, monkeypatch, inside):
    monkeypatch.setattr(cifar10, "URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    for number in range(1, 6):
        (folder / f"data_batch_{number}.bin").write_bytes(bytes(2 * 3073))
    # Without the test images the set is not there.
    refused("CIFAR-10 is not there", "cifar10", data_dir=tmp_path)
    (folder / "test_batch.bin").write_bytes(bytes(3073))
    summary = prepare.prepare("cifar10", data_dir=tmp_path)
    assert (summary.folder, summary.examples) == (folder, {"train": 10, "test": 1})
    (folder / "test_batch.bin").write_bytes(bytes(3072))
    refused("test_batch.bin is not one of .* get it again", "cifar10", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["digits"], 0, "form: scikit-learn's package"),
        (["imagenet2012"], 2, "register at image-net.org"),
    ],
)
def test_the_command_line(arguments, exit_code, message, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bopkit.cli", "data", "prepare", *arguments],
        env={**os.environ, "BOPKIT_DATA_DIR": str(tmp_path), "TFDS_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == exit_code
    assert message in (done.stderr if exit_code else done.stdout)
    if exit_code:
        assert done.stderr.startswith("bopkit: ") and done.stderr.count("\n") == 1
