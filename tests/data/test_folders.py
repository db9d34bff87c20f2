"""Photographs in folders: ImageNet as it lies on disks, and sets of one's own."""

import io
import json
import os
import re

import numpy as np
import pytest

import bopkit  # noqa: F401  # sets TF_USE_LEGACY_KERAS before TensorFlow is imported

import tensorflow as tf  # isort: skip
from PIL import Image
from small_runs import run

from bopkit import data
from bopkit.data import imagenette as imagenette_set
from bopkit.data import prepare, tfds
from bopkit.data.imagenet import crops
from bopkit.data.imagenette import CLASSES
from bopkit.errors import ConfigError, DataError

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def paint(path, colour, size=(40, 36), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)


@pytest.fixture
def own(tmp_path):
    """A set of three colours, in files of every kind."""
    for colour, rgb in COLOURS.items():
        for number, ending in enumerate(("jpg", "JPG", "jpeg", "png", "PNG", "bmp", "gif")):
            paint(tmp_path / "train" / colour / f"{number}.{ending}", rgb)
        for number in range(2):
            paint(tmp_path / "val" / colour / f"{number}.png", rgb)
    return tmp_path


def colours(images):
    """The brightest channel of each image, as a label of `COLOURS`."""
    return 2 - images.numpy().mean((1, 2)).argmax(1)


def test_own_images_have_the_labels_of_their_folders(own):
    found = data.load("image_folder", data_dir=own, image_size=16)
    assert (found.train_examples, found.validation_examples, found.num_classes) == (21, 6, 3)
    assert found.image_shape == (16, 16, 3)
    assert found.origin.classes == ("blue", "green", "red")
    for images, labels in [*found.train_batches(7, seed=0, epochs=2), *found.validation_batches(4)]:
        np.testing.assert_array_equal(colours(images), labels.numpy().argmax(1))


@pytest.mark.parametrize(("start_epoch", "start_step"), [(0, 2), (1, 0), (1, 3), (0, 6)])
def test_resuming_continues_bit_for_bit(own, start_epoch, start_step):
    found = data.load("image_folder", data_dir=own, image_size=16)
    whole = list(found.train_batches(5, seed=3, epochs=3))
    start = {"start_epoch": start_epoch, "start_step": start_step}
    rest = list(found.train_batches(5, seed=3, epochs=3, **start))
    assert len(whole) == 12 and len(rest) == 12 - 4 * start_epoch - start_step
    for (images, labels), (again, same) in zip(whole[-len(rest) :], rest, strict=True):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(labels, same)


def test_every_epoch_takes_each_image_at_most_once_in_another_order(own):
    found = data.load("image_folder", data_dir=own, image_size=16)
    first, second = (
        [r[2][0].numpy() for r in found._train_records(7, 3, 0, range(e, e + 1), 0, 0, 1)]
        for e in (0, 1)
    )
    assert len(set(first)) == 21 and set(first) == set(second) and first != second


def test_workers_share_the_global_batch(own):
    found = data.load("image_folder", data_dir=own, image_size=16)
    (whole, _), *_ = found.train_batches(6, seed=0, epochs=1)
    parts = [next(iter(found.train_batches(6, seed=0, epochs=1, shard=(i, 2))))[0] for i in (0, 1)]
    for index, part in enumerate(parts):
        np.testing.assert_array_equal(whole[index::2], part)


def test_without_val_some_training_images_are_held_out(own):
    (own / "val").rename(own / "elsewhere")
    with pytest.raises(DataError, match=r"has no folder val: .*with holdout, such as 2\."):
        data.load("image_folder", data_dir=own)
    held = data.load("image_folder", data_dir=own, holdout=4, image_size=16)
    assert (held.train_examples, held.validation_examples) == (17, 4)
    # Folders of classes alone are a training set.
    alone = data.load("image_folder", data_dir=own / "train", holdout=4, image_size=16)
    assert alone.fingerprint == held.fingerprint
    first = data.load("image_folder", data_dir=own, holdout=4, train_examples=9)
    assert first.train_examples == 9


def test_the_folder_of_the_environment(own, monkeypatch):
    monkeypatch.setenv("BOPKIT_DATA_DIR", str(own))
    assert data.load("image_folder").train_examples == 21
    monkeypatch.delenv("BOPKIT_DATA_DIR")
    with pytest.raises(DataError, match="image_folder needs data_dir"):
        data.load("image_folder")


def test_what_is_no_image_is_left_alone_and_links_are_followed(own, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "photo.png"
    paint(elsewhere, COLOURS["red"])
    (own / "train" / "red" / "link.png").symlink_to(elsewhere)
    for name in ("notes.txt", ".hidden.png", "._1.jpg"):
        (own / "train" / "red" / name).write_bytes(b"x")
    (own / "train" / ".cache").mkdir()
    (own / "train" / "red" / "folder.png").mkdir()
    assert data.load("image_folder", data_dir=own).train_examples == 22


WRONG = {
    "no folder": (lambda own: own / "nowhere", "there is no folder .*nowhere"),
    "an empty class": (
        lambda own: (own / "train" / "empty").mkdir() or own,
        r"train/empty holds no image \(one of .jpg, .*\): remove the folder, or fill it",
    ),
    "one class": (lambda own: own / "train" / "red", "at least 2 classes; it holds 0 folders"),
    "a class that only val has": (
        lambda own: (own / "val" / "red").rename(own / "val" / "rad") and own,
        "val/rad is a class that the training set lacks; did you mean red",
    ),
    "val without train": (
        lambda own: (own / "train").rename(own / "learn") and own,
        "has val, but no train",
    ),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_folders_that_are_not_as_they_must_be(own, change, message):
    with pytest.raises(DataError, match=message) as caught:
        data.load("image_folder", data_dir=change(own))
    assert "\n" not in str(caught.value)


def test_a_class_that_val_lacks_keeps_the_labels(own):
    for file in (own / "val" / "green").iterdir():
        file.unlink()
    found = data.load("image_folder", data_dir=own, image_size=16)
    labels = np.concatenate([y.numpy().argmax(1) for _, y in found.validation_batches(4)])
    assert sorted(labels) == [0, 0, 2, 2]


def test_what_is_no_image_of_a_class_is_named_once(own, capsys):
    for clutter in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden/a.jpg"):
        paint(own / "train" / "red" / "a.png", COLOURS["red"])
        (own / "train" / "red" / clutter).parent.mkdir(exist_ok=True)
        (own / "train" / "red" / "a.png").rename(own / "train" / "red" / clutter)
    assert data.load("image_folder", data_dir=own).train_examples == 21
    assert capsys.readouterr().out == ""
    paint(own / "train" / "red" / "nested" / "a.png", COLOURS["red"])
    (own / "train" / "red" / "new\n.webp").write_bytes(b"RIFF")
    paint(own / "train" / "0.png", COLOURS["red"])
    assert data.load("image_folder", data_dir=own).train_examples == 21
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert f"{own}/train/0.png is ignored, as are 2 more: the images are the files .jpg," in said


def test_a_class_may_begin_with_an_underscore(own):
    for half in ("train", "val"):
        (own / half / "red").rename(own / half / "_background_")
    found = data.load("image_folder", data_dir=own)
    assert found.origin.classes == ("_background_", "blue", "green") and found.train_examples == 21


def png_that_claims(pixels):
    content = bytearray(_png())
    content[16:24] = pixels.to_bytes(4, "big") * 2
    return bytes(content)


def _png():
    return tf.io.encode_png(np.zeros((4, 4, 3), np.uint8)).numpy()


def _bmp(mode):
    file = io.BytesIO()
    Image.new("RGB", (40, 36), (200, 30, 60)).convert(mode).save(file, "BMP")
    return file.getvalue()


DAMAGED = {
    "cut.jpg": (lambda: tf.io.encode_jpeg(np.zeros((64, 64, 3), np.uint8)).numpy()[:300], "is cut"),
    "cut.png": (lambda: _png()[:50], "is cut short or damaged"),
    "huge.png": (lambda: png_that_claims(60_000), "claims 60,000 x 60,000 pixels"),
    "empty.jpg": (lambda: b"", "is empty"),
    "page.jpg": (lambda: b"<html>not found</html>", "is no JPEG"),
    "cut.bmp": (lambda: _bmp("RGB")[:20], "is cut short or damaged"),
    "colours.bmp": (lambda: _bmp("P"), r"is a BMP file with a palette of colours"),
    "bits.bmp": (lambda: _bmp("1"), r"is a BMP file with .*fewer than 24 bits per pixel"),
    "web.jpg": (lambda: b"RIFF\0\0\0\0WEBPVP8 ", "is a WebP file"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_image_is_named(own, name):
    content, what = DAMAGED[name]
    (own / "train" / "red" / name).write_bytes(content())
    found = data.load("image_folder", data_dir=own, image_size=16)
    with pytest.raises(tf.errors.OpError):
        list(found.train_batches(22, seed=0, epochs=1))
    assert re.search(f"train/red/{name} {what}", found.find_damaged(22, 0, 0, 0))
    assert found.find_damaged() is None
    with pytest.raises(DataError, match=rf"train/red/{name} .*: get it again, or remove it"):
        prepare.prepare("image_folder", data_dir=own)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_bmp_files_of_grey_and_of_true_colour(own, mode):
    """A palette of all shades of grey does no harm."""
    (own / "val" / "red" / "0.png").unlink()
    (own / "val" / "red" / "0.bmp").write_bytes(_bmp(mode))
    assert prepare.prepare("image_folder", data_dir=own).examples["val"] == 6
    found = data.load("image_folder", data_dir=own, image_size=16)
    pixel = np.asarray(Image.open(own / "val" / "red" / "0.bmp").convert("RGB"))[0, 0]
    expected = (pixel - crops.MEAN) / crops.STANDARD_DEVIATION
    seen = [x.numpy()[0, 0, 0] for x, y in found.validation_batches(1) if y[0, 2]]
    assert any(np.allclose(colour, expected, atol=1e-4) for colour in seen)


def test_names_that_are_not_utf8_are_read_and_recorded(own):
    """As files from an old disk have, in Latin-1."""
    name = os.fsdecode("été".encode("latin1"))
    for half, number in (("train", 7), ("val", 2)):
        for image in range(number):
            paint(own / half / name / f"{name}{image}.png", COLOURS["red"])
    assert prepare.prepare("image_folder", data_dir=own).examples == {"train": 28, "val": 8}
    found = data.load("image_folder", data_dir=own, image_size=16)
    labels = [y.numpy().argmax(1) for _, y in found.train_batches(7, seed=0, epochs=1)]
    assert np.bincount(np.concatenate(labels)).tolist() == [7, 7, 7, 7]
    # A record is text in UTF-8.
    described = json.dumps(found.origin.describe(), ensure_ascii=False).encode()
    assert json.loads(described)["classes"] == ["blue", "green", "red", r"\udce9t\udce9"]
    (own / "train" / name / f"{name}0.png").write_bytes(b"")
    assert f"{name}0.png is empty: get it again" in found.find_damaged(28, 0, 0, 0)


def test_a_run_on_own_images_learns_them_and_names_the_classes(own, tmp_path_factory):
    hparams = {"epochs": 8, "batch_size": 7, "dense_units": 16}
    folder = tmp_path_factory.mktemp("run")
    record = run(folder, dataset="image_folder", data_dir=own, hparams=hparams)
    assert record["config"]["image_shape"] == [32, 32, 3]  # BinaryNet's own size
    assert record["data"] == {
        "form": "folders, one for each class",
        "path": str(own),
        "official": None,
        "classes": ["blue", "green", "red"],
    }
    assert record["final"]["val_accuracy"] == 1
    (own / "train" / "red" / "0.jpg").rename(own / "train" / "red" / "other.jpg")
    with pytest.raises(ConfigError, match=r"another configuration .*data_fingerprint"):
        run(folder, dataset="image_folder", data_dir=own, hparams=hparams)


def test_prepare_looks_at_every_image_and_names_the_classes(own):
    said = str(prepare.prepare("image_folder", data_dir=own))
    assert "train: 21 examples" in said and "val: 6 examples" in said
    assert "classes: blue, green, red" in said


# ImageNet in place.

SYNSETS = {"n01440764": 0, "n01443537": 1, "n15075141": 999}
# Classes of the first of ImageNet's validation images, by their numbers.
NAMED = {1: "n01751748", 2: "n09193705", 3: "n02105855"}


@pytest.fixture
def torchvision(tmp_path):
    for number, synset in enumerate(SYNSETS):
        for image in range(4):
            paint(tmp_path / f"train/{synset}/{synset}_{image}.JPEG", (80 * number, 90, 200))
        paint(tmp_path / f"val/{synset}/ILSVRC2012_val_{number + 7:08d}.JPEG", (80 * number, 9, 9))
    return tmp_path


@pytest.fixture
def kaggle(torchvision, tmp_path_factory):
    place = tmp_path_factory.mktemp("kaggle")
    root = place / "ILSVRC/Data/CLS-LOC"
    root.mkdir(parents=True)
    os.symlink(torchvision / "train", root / "train")
    (root / "val").mkdir()
    rows = ["ImageId,PredictionString"]
    for file in sorted((torchvision / "val").rglob("*.JPEG")):
        os.link(file, root / "val" / file.name)
        rows.append(f"{file.stem},{file.parent.name} 1 2 3 4 {file.parent.name} 5 6 7 8 ")
    (place / "LOC_val_solution.csv").write_text("\n".join(rows) + "\n")
    return place


def test_imagenet_has_the_labels_of_tfds(torchvision):
    found = data.load("imagenet2012", data_dir=torchvision, image_size=32)
    assert (found.train_examples, found.validation_examples, found.num_classes) == (12, 3, 1000)
    labels = np.concatenate([y.numpy().argmax(1) for _, y in found.validation_batches(2)])
    assert sorted(labels) == [0, 1, 999]
    assert found.origin.form == "torchvision's folders"


def test_both_forms_of_imagenet_give_the_same_batches(torchvision, kaggle):
    one, other = (
        data.load("imagenet2012", data_dir=place, image_size=32) for place in (torchvision, kaggle)
    )
    assert one.fingerprint == other.fingerprint and other.origin.form == "Kaggle's folders"
    for halves in (
        [found.train_batches(4, seed=0, epochs=1) for found in (one, other)],
        [found.validation_batches(3) for found in (one, other)],
    ):
        for (images, labels), (same, as_well) in zip(*halves, strict=True):
            np.testing.assert_array_equal(images, same)
            np.testing.assert_array_equal(labels, as_well)


def test_a_list_that_is_none_is_named(kaggle):
    (kaggle / "LOC_val_solution.csv").write_text("x" * 200_000)
    with pytest.raises(DataError, match=r"LOC_val_solution\.csv is not Kaggle's list"):
        data.load("imagenet2012", data_dir=kaggle)


def test_imagenets_own_names_tell_the_classes_without_a_list(kaggle):
    (kaggle / "LOC_val_solution.csv").unlink()
    val = kaggle / "ILSVRC/Data/CLS-LOC/val"
    for file, number in zip(sorted(val.iterdir()), NAMED, strict=True):
        file.rename(val / f"ILSVRC2012_val_{number:08d}.JPEG")
    found = data.load("imagenet2012", data_dir=kaggle, image_size=32)
    labels = {y.numpy().argmax() for _, y in found.validation_batches(1)}
    (kaggle / "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG").rename(val / "cat.JPEG")
    with pytest.raises(DataError, match=r"val/cat\.JPEG has no class"):
        data.load("imagenet2012", data_dir=kaggle)
    from bopkit.data.imagenet.archives import imagenet_list

    classes = imagenet_list("labels.txt")
    assert labels == {classes.index(synset) for synset in NAMED.values()}


def test_a_folder_that_is_no_class_of_imagenet(torchvision):
    paint(torchvision / "train" / "n01440765" / "a.JPEG", (0, 0, 0))
    with pytest.raises(DataError, match=r"n01440765 is not one of ImageNet's.*image_folder"):
        data.load("imagenet2012", data_dir=torchvision)


def test_folders_are_packed_as_archives_are(torchvision, kaggle, tmp_path_factory):
    pytest.importorskip("tensorflow_datasets")
    in_place = data.load("imagenet2012", data_dir=torchvision, image_size=32)
    expected = {hash(x.numpy().tobytes()) for x, _ in in_place.validation_batches(1)}
    for place in (torchvision, kaggle):
        target = tmp_path_factory.mktemp("packed")
        summary = prepare.prepare("imagenet2012", manual_dir=place, data_dir=target, progress=False)
        assert summary.examples == {"train": 12, "validation": 3}
        packed = data.load("imagenet2012", data_dir=target, image_size=32)
        assert packed.origin.form == "prepared by TFDS" and packed.origin.path == summary.folder
        assert packed.fingerprint == in_place.fingerprint  # no form changes it
        batches = list(packed.validation_batches(1))
        assert {hash(x.numpy().tobytes()) for x, _ in batches} == expected
        assert sorted(int(y.numpy().argmax()) for _, y in batches) == [0, 1, 999]


@pytest.mark.parametrize("form", ["torchvision", "kaggle"])
def test_prepare_describes_imagenet_in_place(request, form):
    place = request.getfixturevalue(form)
    before = sorted(place.rglob("*"))
    summary = prepare.prepare("imagenet2012", data_dir=place)
    assert summary.examples == {"train": 12, "validation": 3}
    assert f"form: {form}'s folders".lower() in str(summary).lower()
    assert "reads these files in place" in str(summary)
    assert sorted(place.rglob("*")) == before


def test_of_two_images_of_one_name_the_label_is_that_of_the_packed_one(
    torchvision, tmp_path_factory
):
    """The second is left out, or the first if it is damaged."""
    tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
    first, *_, last = SYNSETS
    for synset in (first, last):
        for name in ("twice.JPEG", "half.JPEG"):
            paint(torchvision / "train" / synset / name, (9, 9, 9))
    (torchvision / "train" / first / "half.JPEG").write_bytes(b"<html>")
    where = {"manual_dir": torchvision, "data_dir": tmp_path_factory.mktemp("packed")}
    summary = prepare.prepare("imagenet2012", progress=False, skip_damaged=True, **where)
    builder = tensorflow_datasets.builder_from_directory(summary.folder)
    labels = {
        example["file_name"].decode(): example["label"]
        for example in tensorflow_datasets.as_numpy(builder.as_dataset(split="train"))
    }
    assert len(labels) == 14
    assert (labels["twice.JPEG"], labels["half.JPEG"]) == (SYNSETS[first], SYNSETS[last])


def test_a_set_that_somebody_else_prepared_has_no_fingerprint(torchvision, tmp_path_factory):
    pytest.importorskip("tensorflow_datasets")
    target = tmp_path_factory.mktemp("packed")
    where = {"manual_dir": torchvision, "data_dir": target}
    file = prepare.prepare("imagenet2012", progress=False, **where).folder / "fingerprint.json"
    file.write_text('{"train_files": 7}')
    with pytest.raises(DataError, match=r"fingerprint\.json holds no fingerprint: remove it"):
        data.load("imagenet2012", data_dir=target)
    file.unlink()
    assert data.load("imagenet2012", data_dir=target).fingerprint == {}


def test_a_damaged_image_of_a_folder_is_left_out_if_asked(torchvision, tmp_path_factory):
    pytest.importorskip("tensorflow_datasets")
    (torchvision / "train/n01440764/n01440764_0.JPEG").write_bytes(b"<html>")
    where = {"manual_dir": torchvision, "data_dir": tmp_path_factory.mktemp("packed")}
    with pytest.raises(DataError, match=r"n01440764_0\.JPEG is no JPEG; .*--skip-damaged"):
        prepare.prepare("imagenet2012", progress=False, **where)
    (torchvision / "train/n01440764/n01440764_9.JPEG").symlink_to("nowhere.JPEG")
    summary = prepare.prepare("imagenet2012", progress=False, skip_damaged=True, **where)
    assert summary.examples == {"train": 11, "validation": 3}
    left_out = (summary.folder / "left_out.txt").read_text()
    assert "n01440764_0.JPEG is no JPEG" in left_out
    assert "n01440764_9.JPEG: is not a file" in left_out and left_out.count("\n") == 2


# Imagenette.


@pytest.fixture
def imagenette(tmp_path):
    for label, synset in enumerate(CLASSES):
        for half, number in (("train", 3), ("val", 1)):
            for image in range(number):
                name = f"{synset}_{half}{image}.JPEG"
                paint(tmp_path / "imagenette2-160" / half / synset / name, (25 * label, 90, 9))
    return tmp_path


def test_imagenette_as_it_unpacks_and_as_tfds_prepares_it(
    imagenette, tmp_path_factory, monkeypatch
):
    tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
    unpacked = data.load("imagenette", data_dir=imagenette, image_size=32)
    place = tmp_path_factory.mktemp("tfds")
    monkeypatch.setattr(
        tensorflow_datasets.download.DownloadManager,
        "download_and_extract",
        lambda self, url: imagenette,
    )
    monkeypatch.setattr(tfds.urllib.request, "urlopen", lambda request, timeout: None)
    assert prepare.prepare("imagenette", data_dir=place).examples == {"train": 30, "validation": 10}
    prepared = data.load("imagenette", data_dir=place, image_size=32)
    assert (prepared.train_examples, prepared.num_classes) == (30, 10)
    # The sizes have one fingerprint: the form tells them apart, so that no run changes its size.
    assert prepared.origin.form == "prepared by TFDS, 160px-v2"
    assert unpacked.origin.form == "its authors' folders, imagenette2-160"
    halves = []
    for found in (unpacked, prepared):
        batches = found.validation_batches(1)
        halves.append({(int(y.numpy().argmax()), hash(x.numpy().tobytes())) for x, y in batches})
    assert halves[0] == halves[1] and len(halves[0]) == 10
    assert prepare.prepare("imagenette", data_dir=imagenette).examples == {"train": 30, "val": 10}


def test_binarynet_takes_imagenette_at_its_own_size(imagenette, tmp_path_factory):
    """At 224 pixels it would have 390 million weights."""
    hparams = {"epochs": 1, "batch_size": 10, "dense_units": 8}
    settings = {"dataset": "imagenette", "data_dir": imagenette, "validation_examples": 2}
    record = run(tmp_path_factory.mktemp("run"), hparams=hparams, **settings)
    assert record["config"]["image_shape"] == [32, 32, 3]


def test_imagenette_without_internet_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(imagenette_set, "URL", "http://127.0.0.1:9/imagenette2-160.tgz")
    with pytest.raises(DataError, match=r"Imagenette is not there: .*could not download") as caught:
        data.load("imagenette", data_dir=tmp_path)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
