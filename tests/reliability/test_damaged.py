"""Damaged and hostile data: a clear error with the file's name, or left out if that was asked."""

import gzip
import io
import json
import random
import shutil
import struct
import tarfile
import tracemalloc

import numpy as np
import pytest
from damage import (
    BAD,
    ODD,
    SYNSET,
    flip,
    images,
    member,
    sparse,
    tar,
    write_fashion_mnist,
    write_imagenet,
)
from small_runs import run

import bopkit  # noqa: F401  # sets TF_USE_LEGACY_KERAS before TensorFlow is imported

import tensorflow as tf  # isort: skip

from bopkit import data
from bopkit.data import fashion_mnist, prepare
from bopkit.data.imagenet import crops, drawn, jpegs
from bopkit.errors import BopkitError, DataError

pytest.importorskip("tensorflow_datasets")
GOOD = {f"good{n}": ODD["grey"] for n in range(9)}
TINY = {"epochs": 1, "filters": 4, "dense_units": 8, "batch_size": 3, "image_size": 32}
FILES = [
    f"{split}-{kind}-ubyte.gz"
    for split in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
]


def refused(action, *mentioned):
    """That it fails with one line, which says these."""
    with pytest.raises(BopkitError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text and all(str(words) in text for words in mentioned), text
    return text


def attempt(action):
    """What it returns, and None; or None, and the line of a DataError. Nothing else is caught."""
    try:
        return action(), None
    except DataError as error:
        return None, str(error)


# Gzipped IDX files.


def test_gz_files_with_a_flipped_bit_or_cut_short(tmp_path):
    """200 flips and 100 cuts: named, or (in what gzip says of the file's name) without effect."""
    folder = write_fashion_mnist(tmp_path)
    whole = {name: (folder / name).read_bytes() for name in FILES}
    expected = {split: fashion_mnist.read(split, folder) for split in ("train", "test")}
    moments, noticed = random.Random(0), 0
    for number in range(300):
        name = FILES[number % 4]
        content = whole[name]
        cut = content[: moments.randrange(len(content))]
        (folder / name).write_bytes(cut if number % 3 == 0 else flip(content, moments))
        split = "train" if name.startswith("train") else "test"
        found, error = attempt(lambda s=split: fashion_mnist.read(s, folder))
        if error:
            assert str(folder / name) in error and "\n" not in error
            noticed += 1
        else:
            assert all(map(np.array_equal, found, expected[split]))
        (folder / name).write_bytes(content)
    assert noticed > 280


@pytest.mark.parametrize(
    ("shape", "inflated", "message"),
    [
        ((40, 28, 28), 2**28, "announces 31,360 bytes but holds more"),
        ((2**32 - 1, 28, 28), 2**28, "announces 3,367,254,359,280 bytes"),
        ((2**32 - 1, 2**32 - 1, 2**32 - 1), 2**10, "it is damaged"),
        ((0, 28, 28), 0, "announces 0 bytes"),
    ],
)
def test_gz_bombs_are_not_inflated(tmp_path, shape, inflated, message):
    folder = write_fashion_mnist(tmp_path)
    with gzip.open(folder / FILES[0], "wb", compresslevel=1) as file:
        file.write(struct.pack(">4I", 0x803, *shape))
        for _ in range(inflated // 2**20):
            file.write(bytes(2**20))
    tracemalloc.start()
    refused(lambda: fashion_mnist.read("train", folder), folder / FILES[0], message)
    assert tracemalloc.get_traced_memory()[1] < 2**22  # 4 MB of 256
    tracemalloc.stop()


# Images, looked at when they are prepared.


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_decoded_has_a_reason(name):
    content, reason = BAD[name]
    assert reason in jpegs.problem(content)


@pytest.mark.parametrize("name", ODD)
def test_what_is_merely_odd_has_none(name):
    assert jpegs.problem(ODD[name]) is None


def test_jpegs_with_a_flipped_bit_or_cut_short():
    """400 flips and cuts: named, or decoded as training does; never a crash."""
    whole, moments, named = drawn.draw(SYNSET, (1,), size=(60, 40)), random.Random(0), 0
    assert jpegs.problem(whole) is None
    for number in range(400):
        cut = whole[: moments.randrange(len(whole))]
        content = cut if number % 4 == 0 else flip(whole, moments)
        problem = jpegs.problem(content)
        if problem:
            assert problem.isprintable() and len(problem) < 200
            named += 1
        else:
            shape = tf.io.extract_jpeg_shape(content)
            window = crops.centre_window(shape[:2])
            pixels = tf.io.decode_and_crop_jpeg(content, window, channels=3)
            assert pixels.shape == (window[2], window[3], 3)
        assert problem or number % 4  # no cut is taken for an image
    assert 100 < named < 400


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("name", ["cut", "bomb2", "png16", "empty"])
def test_a_damaged_image_ends_the_preparation_with_its_name(tmp_path, split, name):
    content, reason = BAD[name]
    if split == "train":
        manual = write_imagenet(tmp_path / "m", images(GOOD | {"bad": content}))
        where = f"ILSVRC2012_img_train.tar: {SYNSET}.tar: {SYNSET}_bad.JPEG {reason}"
    else:
        manual = write_imagenet(tmp_path / "m", images(GOOD), [content])
        where = f"ILSVRC2012_img_val.tar: ILSVRC2012_val_00000004.JPEG {reason}"
    arguments = {"manual_dir": manual, "data_dir": tmp_path / "d", "progress": False}
    refused(lambda: prepare.prepare("imagenet2012", **arguments), where, "--skip-damaged")
    assert {path.name for path in (tmp_path / "d").iterdir()} == {".imagenet2012.lock"}


@pytest.mark.slow
def test_damaged_images_are_left_out_if_asked_and_the_rest_trains(tmp_path, capsys):
    named = GOOD | ODD | {name: content for name, (content, _) in BAD.items()}
    manual = write_imagenet(tmp_path / "m", images(named))
    summary = prepare.prepare(
        "imagenet2012", manual_dir=manual, data_dir=tmp_path, skip_damaged=True
    )
    assert summary.examples == {"train": len(GOOD) + len(ODD), "validation": 3}
    assert f"damaged and left out: {len(BAD)}, named in" in str(summary)
    listed = (summary.folder / "left_out.txt").read_text().splitlines()
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out")]
    assert said == [f"left out: {line}" for line in listed]
    for name, (_, reason) in BAD.items():
        assert sum(f"{SYNSET}_{name}.JPEG {reason}" in line for line in listed) == 1
    # One pixel, 20,000 a side, CMYK and grayscale: through the network, at its real size and 32.
    big = data.load("imagenet2012", data_dir=tmp_path)
    for pixels, _ in big.train_batches(5, seed=0, epochs=2):
        assert pixels.shape == (5, 224, 224, 3) and np.isfinite(pixels).all()
    record = run(tmp_path / "run", dataset="imagenet2012", data_dir=tmp_path, hparams=TINY)
    assert record["status"] == "completed" and record["config"]["train_examples"] == 15


# Archives.


def _escaping(tmp_path):
    jpeg = ODD["grey"]
    return {
        "../../out.JPEG leads out": member("../../out.JPEG", jpeg),
        "/out.JPEG leads out": member("/out.JPEG", jpeg),
        f"{tmp_path}/out.JPEG leads out": member(f"{tmp_path}/out.JPEG", jpeg),
        "soft.JPEG is a link": member("soft.JPEG", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        "hard.JPEG is a link": member("hard.JPEG", kind=tarfile.LNKTYPE, link="../../x"),
        "fifo.JPEG is a link or a device": member("fifo.JPEG", kind=tarfile.FIFOTYPE),
        "disk.JPEG is a link or a device": member("disk.JPEG", kind=tarfile.BLKTYPE),
        "gaps.JPEG claims 3,000,000,000 bytes": sparse("gaps.JPEG", 3_000_000_000),
        # One line, and nothing that moves a terminal's cursor or turns what is read.
        r"two lines.JPEG\x1b[2J\u202e.JPEG is no JPEG": member(
            "two\nlines.JPEG\x1b[2J\u202e.JPEG", b"GIF87"[:2]
        ),
    }


def test_a_name_that_comes_twice_is_noticed_while_it_is_read(tmp_path):
    """TFDS notices it too, once it has read and sorted all of ImageNet."""
    manual = write_imagenet(tmp_path / "m", [*images(GOOD), *images(dict([*GOOD.items()][:1]))])
    arguments = {"manual_dir": manual, "data_dir": tmp_path / "d", "progress": False}
    name = next(iter(GOOD))
    refused(lambda: prepare.prepare("imagenet2012", **arguments), f"{name}.JPEG is there twice")
    summary = prepare.prepare("imagenet2012", skip_damaged=True, **arguments)
    assert summary.examples["train"] == len(GOOD)


def test_members_that_lead_elsewhere_are_named_and_written_nowhere(tmp_path):
    escaping = _escaping(tmp_path)
    target = tmp_path / "target"
    for number, (said, bad) in enumerate(escaping.items()):
        manual = write_imagenet(tmp_path / f"m{number}", [*images(GOOD), bad])
        arguments = {"manual_dir": manual, "data_dir": target, "progress": False}
        refused(lambda a=arguments: prepare.prepare("imagenet2012", **a), said)
    manual = write_imagenet(tmp_path / "all", [*images(GOOD), *escaping.values()])
    before = {path for path in tmp_path.rglob("*") if target not in (path, *path.parents)}
    summary = prepare.prepare(
        "imagenet2012", manual_dir=manual, data_dir=target, skip_damaged=True, progress=False
    )
    assert summary.examples["train"] == len(GOOD)
    assert len((summary.folder / "left_out.txt").read_text().splitlines()) == len(escaping)
    after = {path for path in tmp_path.rglob("*") if target not in (path, *path.parents)}
    assert after == before and not list(tmp_path.rglob("*out.JPEG"))


def test_a_class_whose_archive_is_damaged_does_not_end_there_in_silence(tmp_path):
    inner = tar(images(GOOD))
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        second = archive.getmembers()[4].offset
    damaged = {
        "a bad header": inner[:second] + b"x" + inner[second + 1 :],
        "a gap": inner[:second] + bytes(3000) + inner[second + 3000 :],
        "cut short": inner[: second + 700],
        "cut at a member": inner[:second],
    }
    for what, content in damaged.items():
        manual = write_imagenet(tmp_path / what, content)
        arguments = {"manual_dir": manual, "data_dir": tmp_path / f"{what}.d", "progress": False}
        refused(
            lambda a=arguments: prepare.prepare("imagenet2012", **a),
            f"ILSVRC2012_img_train.tar: {SYNSET}.tar",
            "cut short or damaged",
        )
        summary = prepare.prepare("imagenet2012", skip_damaged=True, **arguments)
        assert summary.examples["train"] == 4


def test_archives_with_a_flipped_bit_anywhere(tmp_path):
    """30 flips in either archive: prepared, or an error that names the archive; never a crash."""
    manual, moments = write_imagenet(tmp_path / "m", images(GOOD)), random.Random(0)
    in_headers = []
    for number in range(30):
        path = sorted(manual.iterdir())[number % 2]
        whole = path.read_bytes()
        # Half of them in the headers, which random ones would seldom meet.
        start = 512 * moments.randrange(3) if number % 4 < 2 else 0
        stop = start + 512 if number % 4 < 2 else len(whole)
        path.write_bytes(whole[:start] + flip(whole[start:stop], moments) + whole[stop:])
        arguments = {"manual_dir": manual, "data_dir": tmp_path / f"{number}", "progress": False}
        _, error = attempt(lambda a=arguments: prepare.prepare("imagenet2012", **a))
        assert error is None or (path.name in error and "\n" not in error)
        path.write_bytes(whole)
        in_headers += [error is not None] if number % 4 < 2 else []
    assert any(in_headers) and len(in_headers) == 16


# Prepared files that were damaged later, or prepared by TFDS without a look.


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    manual = write_imagenet(folder / "m", images(GOOD))
    prepare.prepare("imagenet2012", manual_dir=manual, data_dir=folder / "d", progress=False)
    return folder / "d"


@pytest.fixture
def copied(prepared, tmp_path):
    """A copy, and its file of training images."""
    copy = shutil.copytree(prepared, tmp_path / "d")
    return copy, next(copy.rglob("*-train.tfrecord-*"))


def test_record_files_cut_short_are_noticed_before_training(copied):
    folder, file = copied
    content = file.read_bytes()
    first = 16 + struct.unpack("<Q", content[:8])[0]  # a whole record: TensorFlow sees no error
    for end, said in ((first, "holds 1,"), (first + 5, "is cut short"), (0, "holds 0,")):
        file.write_bytes(content[:end])
        where = {"data_dir": folder}
        refused(lambda a=where: data.load("imagenet2012", **a), file, said, "9 records")
        refused(lambda a=where: prepare.prepare("imagenet2012", **a), file, said)
    file.write_bytes(content)
    assert data.load("imagenet2012", data_dir=folder).train_examples == 9


def test_a_description_with_a_flipped_bit(copied):
    """100 flips: named, or without effect on what there is."""
    folder, file = copied
    description, moments = file.parent / "dataset_info.json", random.Random(0)
    whole, noticed = description.read_bytes(), 0
    for _ in range(100):
        description.write_bytes(flip(whole, moments))
        found, error = attempt(lambda: data.load("imagenet2012", data_dir=folder))
        assert found is None or (found.train_examples, found.validation_examples) == (9, 3)
        if error:
            assert str(file.parent) in error and "\n" not in error
            noticed += 1
    assert noticed > 10


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_flipped_bit_in_a_record_file_is_named(copied, tmp_path, split):
    folder, _ = copied
    file = next(folder.rglob(f"*-{split}.tfrecord-*"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    refused(
        lambda: run(tmp_path / "run", dataset="imagenet2012", data_dir=folder, hparams=TINY),
        file,
        "is damaged (",
        "copy it again",
    )


def change(folder, split, alter):
    """Write a split's records again, with the second one altered; return that image's name."""
    file = next(folder.rglob(f"*-{split}.tfrecord-*"))
    records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    example = tf.train.Example.FromString(records[1])
    alter(example.features.feature)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in (records[0], example.SerializeToString(), *records[2:]):
            writer.write(record)
    # A label may take more bytes than the one before it did.
    description = file.parent / "dataset_info.json"
    info = json.loads(description.read_text())
    for entry in info["splits"]:
        if entry["name"] == split:
            entry["numBytes"] = str(file.stat().st_size - 16 * len(records))
    description.write_text(json.dumps(info))
    return example.features.feature["file_name"].bytes_list.value[0].decode()


def undecodable(feature):
    feature["image"].bytes_list.value[0] = BAD["png16"][0]


def labelled(label):
    def alter(feature):
        feature["label"].int64_list.value[0] = label

    return alter


@pytest.mark.parametrize(
    ("split", "alter", "said"),
    [
        ("train", undecodable, "is a PNG file, and not a JPEG: prepare imagenet2012 again"),
        ("validation", undecodable, "--skip-damaged"),
        ("train", labelled(5000), "has the label 5000; labels must lie from 0 to 999: prepare"),
        ("validation", labelled(-1), "has the label -1; labels must lie from 0 to 999: prepare"),
    ],
)
def test_what_tfds_took_without_a_look_is_named_in_training(copied, tmp_path, split, alter, said):
    folder, _ = copied
    name = change(folder, split, alter)
    refused(
        lambda: run(tmp_path / "run", dataset="imagenet2012", data_dir=folder, hparams=TINY),
        f"the image {name} ",
        said,
    )


@pytest.mark.parametrize("label", [-1, 1000, 5000])
def test_no_batch_holds_an_example_without_a_class(copied, label):
    folder, _ = copied
    name = change(folder, "validation", labelled(label))
    damaged = data.load("imagenet2012", data_dir=folder, image_size=32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{name}.*label.*{label}"):
        list(damaged.validation_batches(3))
    assert damaged.find_damaged().startswith(f"the image {name} has the label {label};")
