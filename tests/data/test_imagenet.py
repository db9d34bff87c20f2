import shutil
import tarfile
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bopkit  # noqa: F401  # sets TF_USE_LEGACY_KERAS before TensorFlow is imported

import tensorflow as tf  # isort: skip

from bopkit import data
from bopkit.data import tfds
from bopkit.data.imagenet import crops, drawn
from bopkit.errors import DataError

tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
TRAIN, VALIDATION = 26, 19


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("imagenet")


@pytest.fixture(scope="session")
def data_dir(folder):
    return drawn.prepare_imagenet_sample(folder, train=TRAIN, validation=VALIDATION)


@pytest.fixture(scope="session")
def small(data_dir):
    return data.load("imagenet2012", data_dir=data_dir, image_size=48)


@pytest.fixture(scope="session")
def sequence(small):
    return batches(small.train_batches(6, seed=3, epochs=3))


def batches(dataset):
    return [(images.numpy(), labels.numpy()) for images, labels in dataset]


def assert_same(left, right):
    assert len(left) == len(right)
    for (images, labels), (other_images, other_labels) in zip(left, right, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def records(data_dir, split):
    """(JPEG, label, file name) of every record in the order of the prepared files."""
    prepared = tfds.find_prepared("imagenet2012", [data_dir])
    found = []
    for file in sorted(prepared.glob(f"*-{split}.tfrecord*")):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature
            found.append(
                (
                    feature["image"].bytes_list.value[0],
                    feature["label"].int64_list.value[0],
                    feature["file_name"].bytes_list.value[0].decode(),
                )
            )
    return found


def bicubic(images, side):
    """What `tf.compat.v1.image.resize_bicubic` does, as the released code calls it."""
    kwargs = {"align_corners": False, "half_pixel_centers": False}
    return tf.raw_ops.ResizeBicubic(images=images, size=(side, side), **kwargs)[0].numpy()


def centre_crop(jpeg, side):
    """The released code's centre crop, from the whole image."""
    image = tf.io.decode_jpeg(jpeg, channels=3).numpy()
    height, width, _ = image.shape
    crop = int(224 / 256 * min(height, width))
    top, left = (height - crop + 1) // 2, (width - crop + 1) // 2
    image = image[None, top : top + crop, left : left + crop]
    image = bicubic(image, side)
    return (image - 255 * np.array([0.485, 0.456, 0.406])) / (255 * np.array([0.229, 0.224, 0.225]))


def same_image(left, right):
    # But for the outer columns: decoded from the crop alone, the pixels at the crop's edge lack the
    # neighbours beyond it, of which the whole image's decoding interpolates their colour.
    return np.abs(left - right)[:, 2:-2].max() < 1e-3


# The archives, and what TFDS's builder makes of them.


def test_archives_are_like_the_real_ones(folder, data_dir):
    with tarfile.open(folder / "manual" / "ILSVRC2012_img_train.tar") as archive:
        images = {}
        for member in archive:
            assert member.name.endswith(".tar")
            with tarfile.open(fileobj=archive.extractfile(member)) as inner:
                for image in inner:
                    assert image.name.startswith(member.name[:-4] + "_")
                    images[image.name] = Image.open(BytesIO(inner.extractfile(image).read()))
    assert len(images) == TRAIN
    assert images[drawn.CMYK_NAME].mode == "CMYK"
    assert images[drawn.PNG_NAME].format == "PNG"
    assert [image.mode for image in images.values()].count("L") == 1
    sizes = {image.size for image in images.values()}
    assert (40, 30) in sizes
    assert sizes - {(40, 30)} <= set(drawn.SIZES)
    with tarfile.open(folder / "manual" / "ILSVRC2012_img_val.tar") as archive:
        assert archive.getnames()[0] == "ILSVRC2012_val_00000001.JPEG"
        assert len(archive.getnames()) == VALIDATION


def test_prepared_records_have_the_right_labels_and_are_jpegs(data_dir):
    prepared = tfds.find_prepared("imagenet2012", [data_dir])
    names = (prepared / "label.labels.txt").read_text().split()
    training = records(data_dir, "train")
    assert len(training) == TRAIN
    for jpeg, label, file_name in training:
        assert file_name.startswith(names[label] + "_")
        assert jpeg[:2] == b"\xff\xd8"
        assert tf.io.decode_jpeg(jpeg).shape[-1] in (1, 3)
    validation = {name: names[label] for _, label, name in records(data_dir, "validation")}
    # The first labels of ImageNet's own validation list.
    assert validation["ILSVRC2012_val_00000001.JPEG"] == "n01751748"
    assert validation["ILSVRC2012_val_00000002.JPEG"] == "n09193705"


def test_archives_depend_on_the_seed_alone(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        drawn.make_imagenet_archives(tmp_path / name, train=4, validation=1, seed=seed)
    for file in ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"):
        a, b, c = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert a == b != c
    with pytest.raises(ValueError, match="at least 4"):
        drawn.make_imagenet_archives(tmp_path, train=3)


def test_prepared_sample_is_left_as_it_is(folder, data_dir):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert drawn.prepare_imagenet_sample(folder) == data_dir
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


# The order, and what it depends on.


def test_shapes_and_values(data_dir):
    full = data.load("imagenet2012", data_dir=data_dir)
    assert full.image_shape == (224, 224, 3)
    assert (full.num_classes, full.train_examples) == (1000, TRAIN)
    assert full.steps_per_epoch(8) == 3
    for dataset in (full.train_batches(8, seed=0, epochs=1), full.validation_batches(8)):
        images, labels = next(iter(dataset))
        assert images.shape == (8, 224, 224, 3)
        assert (images.dtype, labels.dtype) == (tf.float32, tf.float32)
        np.testing.assert_array_equal(labels.numpy().sum(1), 1)
        # 0 and 255 are -2.1 and 2.6 at most; bicubic interpolation overshoots a little.
        assert -3.5 < float(tf.reduce_min(images)) < 0 < float(tf.reduce_max(images)) < 4


def test_batches_are_full_and_in_one_pipeline(small, sequence):
    assert len(sequence) == 12
    dataset = small.train_batches(6, seed=3, epochs=3)
    assert int(dataset.cardinality()) == 12
    assert dataset.element_spec[0].shape == (6, 48, 48, 3)
    assert dataset.element_spec[1].shape == (6, 1000)


def test_same_seed_same_batches(small, sequence):
    tf.random.set_seed(1234)
    dataset = small.train_batches(6, seed=3, epochs=3)
    assert_same(sequence, batches(dataset))
    assert_same(sequence, batches(dataset))


def test_other_seed_or_epoch_other_order(small, sequence):
    other = batches(small.train_batches(6, seed=4, epochs=1))
    orders = [
        tuple(np.concatenate([labels.argmax(1) for _, labels in part]))
        for part in (sequence[:4], sequence[4:8], sequence[8:], other)
    ]
    assert len(set(orders)) == 4


@pytest.mark.parametrize(("start_epoch", "start_step"), [(0, 1), (1, 0), (2, 3), (1, 5)])
def test_resuming_continues_bit_for_bit(small, sequence, start_epoch, start_step):
    resumed = small.train_batches(
        6, seed=3, epochs=3, start_epoch=start_epoch, start_step=start_step
    )
    rest = sequence[4 * start_epoch + start_step :]
    assert int(resumed.cardinality()) == len(rest)
    assert_same(rest, batches(resumed))


def test_shards_are_the_global_batch(small, sequence):
    for index in range(3):
        shard = batches(small.train_batches(6, seed=3, epochs=2, shard=(index, 3)))
        assert_same([(x[index::3], y[index::3]) for x, y in sequence[:8]], shard)
    resumed = batches(
        small.train_batches(6, seed=3, epochs=3, start_epoch=1, start_step=2, shard=(1, 2))
    )
    assert_same([(x[1::2], y[1::2]) for x, y in sequence[6:]], resumed)


def test_every_epoch_sees_every_example_at_most_once_with_its_label(data_dir, monkeypatch):
    # With the centre for a window, a training image is one of the set, flipped or not.
    monkeypatch.setattr(crops, "random_window", lambda size, seed: crops.centre_window(size))
    small = data.load("imagenet2012", data_dir=data_dir, image_size=48)
    known = [(centre_crop(jpeg, 48), label) for jpeg, label, _ in records(data_dir, "train")]
    flips = []
    for epoch in range(2):
        seen = []
        for images, labels in batches(
            small.train_batches(5, seed=1, epochs=epoch + 1, start_epoch=epoch)
        ):
            for image, label in zip(images, labels.argmax(1), strict=True):
                found = [
                    (number, flip)
                    for number, (reference, _) in enumerate(known)
                    for flip in (False, True)
                    if same_image(reference[:, ::-1] if flip else reference, image)
                ]
                assert len(found) == 1
                assert known[found[0][0]][1] == label
                seen.append(found[0][0])
                flips.append(found[0][1])
        assert len(seen) == len(set(seen)) == 25
    assert 10 <= sum(flips) <= 40


# The windows.


sizes = st.one_of(
    st.sampled_from([*drawn.SIZES, (40, 30)]),
    st.tuples(st.integers(30, 700), st.integers(30, 700)),
)


@settings(max_examples=200, deadline=None)
@given(size=sizes, seed=st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)))
@pytest.mark.slow
def test_random_windows(size, seed):
    window = crops.random_window(tf.constant(size), tf.constant(seed, tf.int64)).numpy()
    again = crops.random_window(tf.constant(size), tf.constant(seed, tf.int64)).numpy()
    np.testing.assert_array_equal(window, again)
    top, left, height, width = window.tolist()
    assert min(top, left) >= 0
    assert min(height, width) > 0
    assert top + height <= size[0]
    assert left + width <= size[1]
    if window.tolist() != crops.centre_window(tf.constant(size)).numpy().tolist():
        # Up to the rounding of both sides to whole pixels.
        assert (height + 1) * (width + 1) >= 0.1 * size[0] * size[1]
        assert (width + 1) / height >= 3 / 4
        assert width / (height + 1) <= 4 / 3


def test_random_windows_vary_over_the_whole_range():
    size = tf.constant((375, 500))
    windows = np.stack(
        [crops.random_window(size, tf.constant((0, n), tf.int64)) for n in range(300)]
    )
    areas = windows[:, 2] * windows[:, 3] / (375 * 500)
    assert areas.min() < 0.2
    assert areas.max() > 0.7
    assert len({tuple(window) for window in windows}) > 280
    aspects = windows[:, 3] / windows[:, 2]
    assert aspects.min() < 0.8
    assert aspects.max() > 1.25


def test_centre_is_taken_where_every_attempt_fails():
    # No window of an aspect ratio up to 4/3 covers a tenth of a strip.
    size = tf.constant((20, 1000))
    window = crops.random_window(size, tf.constant((0, 0), tf.int64))
    assert window.numpy().tolist() == [2, 492, 17, 17]


@pytest.mark.parametrize(
    ("size", "window"),
    [
        ((256, 256), [16, 16, 224, 224]),
        ((375, 500), [24, 86, 328, 328]),
        ((500, 333), [105, 21, 291, 291]),
        ((30, 40), [2, 7, 26, 26]),
        ((1, 1), [0, 0, 1, 1]),
    ],
)
def test_centre_windows(size, window):
    assert crops.centre_window(tf.constant(size)).numpy().tolist() == window


@pytest.mark.parametrize("kind", ["uint8", "int32", "float16", "float64"])
@pytest.mark.parametrize("make", [np.asarray, tf.constant])
def test_pixels_of_any_type_are_normalized_alike(kind, make):
    pixels = np.arange(48).reshape(4, 4, 3) * 5
    expected = (pixels - 255 * np.array([0.485, 0.456, 0.406])) / (
        255 * np.array([0.229, 0.224, 0.225])
    )
    found = crops.normalize(make(pixels.astype(kind)))
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_every_colour_space_is_decoded(mode):
    jpeg = drawn.draw("n01751748", (0,), mode=mode)
    image = crops.view(tf.constant(jpeg), lambda size: tf.constant([3, 5, 100, 120]), 48)
    assert image.shape == (48, 48, 3)
    wanted = tf.io.decode_jpeg(jpeg, channels=3)[3:103, 5:125]
    assert same_image(image.numpy(), bicubic(wanted[None], 48))
    if mode == "L":
        np.testing.assert_array_equal(image[..., 0], image[..., 2])


# Validation, holding out, taking a part.


def test_validation_is_the_centre_crop_whole_ordered_and_reusable(small, data_dir):
    dataset = small.validation_batches(8)
    assert int(dataset.cardinality()) == 3
    seen = batches(dataset)
    assert [len(images) for images, _ in seen] == [8, 8, 3]
    images, labels = (np.concatenate(part) for part in zip(*seen, strict=True))
    known = records(data_dir, "validation")
    # Several files are read in turns: the order is fixed, but not that of the files.
    assert sorted(labels.argmax(1)) == sorted(label for _, label, _ in known)
    for jpeg, label, _ in known:
        matches = [same_image(centre_crop(jpeg, 48), image) for image in images]
        assert sum(matches) == 1
        assert labels[matches.index(True)].argmax() == label
    assert_same(seen, batches(dataset))


@pytest.mark.parametrize("examples", [16, 17, 19])
def test_validation_shards_have_equally_many_batches_and_lose_nothing(data_dir, examples):
    small = data.load(
        "imagenet2012", data_dir=data_dir, image_size=48, validation_examples=examples
    )
    whole = batches(small.validation_batches(8))
    assert sum(len(images) for images, _ in whole) == examples
    for index in range(4):
        shard = batches(small.validation_batches(8, shard=(index, 4)))
        assert_same([(x[index::4], y[index::4]) for x, y in whole], shard)


def labels_of(dataset):
    return sorted(int(label) for _, labels in batches(dataset) for label in labels.argmax(1))


def test_first_examples_are_taken(data_dir):
    part = data.load(
        "imagenet2012", data_dir=data_dir, image_size=48, train_examples=9, validation_examples=5
    )
    assert (part.train_examples, part.validation_examples) == (9, 5)
    first = sorted(label for _, label, _ in records(data_dir, "train")[:9])
    assert labels_of(part.train_batches(9, seed=0, epochs=1)) == first
    assert len(labels_of(part.validation_batches(4))) == 5


def test_holdout_is_a_part_of_the_training_set(data_dir):
    held = data.load("imagenet2012", data_dir=data_dir, image_size=48, holdout=7)
    assert (held.train_examples, held.validation_examples) == (TRAIN - 7, 7)
    training = [label for _, label, _ in records(data_dir, "train")]
    assert labels_of(held.train_batches(TRAIN - 7, seed=0, epochs=1)) == sorted(training[:-7])
    assert labels_of(held.validation_batches(4)) == sorted(training[-7:])


# What is refused: one sentence each.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 1}, "channels must be 3"),
        ({"preprocess": "resize_and_flip"}, "preprocess must be 'default'"),
        ({"train_examples": TRAIN + 1}, f"the {TRAIN} there are"),
        ({"validation_examples": 0}, "validation_examples"),
        ({"holdout": TRAIN}, f"below the {TRAIN} training examples"),
    ],
)
def test_bad_arguments(data_dir, arguments, message):
    with pytest.raises(DataError, match=message) as caught:
        data.load("imagenet2012", data_dir=data_dir, **arguments)
    assert "\n" not in str(caught.value)


def test_missing_imagenet(tmp_path, monkeypatch):
    monkeypatch.setenv("BOPKIT_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="bopkit data prepare imagenet2012") as caught:
        data.load("imagenet2012")
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_imagenet_is_looked_for(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("BOPKIT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    assert data.load("imagenet2012").train_examples == TRAIN
    # A preparation that was interrupted leaves a folder of another name.
    (tmp_path / "imagenet2012" / "incomplete.X_5.1.0").mkdir(parents=True)
    (tmp_path / "imagenet2012" / "incomplete.X_5.1.0" / "dataset_info.json").touch()
    assert data.load("imagenet2012").train_examples == TRAIN


@pytest.fixture
def copied(data_dir, tmp_path):
    prepared = tfds.find_prepared("imagenet2012", [data_dir])
    return shutil.copytree(prepared, tmp_path / "imagenet2012" / prepared.name)


def test_missing_file_is_named(copied, tmp_path):
    lost = sorted(copied.glob("*-train.tfrecord*"))[0]
    lost.unlink()
    with pytest.raises(DataError, match=lost.name):
        data.load("imagenet2012", data_dir=tmp_path)


def test_damaged_description(copied, tmp_path):
    (copied / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read") as caught:
        data.load("imagenet2012", data_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_training_archive(tmp_path):
    manual = drawn.make_imagenet_archives(tmp_path / "manual", train=4, validation=2)
    (manual / "ILSVRC2012_img_train.tar").unlink()
    builder = tensorflow_datasets.builder("imagenet2012", data_dir=tmp_path)
    builder.download_and_prepare(
        download_config=tensorflow_datasets.download.DownloadConfig(manual_dir=manual)
    )
    with pytest.raises(DataError, match="no train images"):
        data.load("imagenet2012", data_dir=tmp_path)
