from collections import Counter

import numpy as np
import pytest

import bopkit  # noqa: F401  # sets TF_USE_LEGACY_KERAS before TensorFlow is imported

import tensorflow as tf  # isort: skip

from bopkit import data
from bopkit.errors import DataError


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


@pytest.mark.parametrize(
    ("start_epoch", "start_step"), [(0, 0), (0, 4), (1, 0), (2, 5), (0, 13), (3, 0)]
)
def test_resuming_continues_bit_for_bit(digits, sequence, start_epoch, start_step):
    resumed = digits.train_batches(
        48, seed=3, epochs=3, start_epoch=start_epoch, start_step=start_step
    )
    rest = sequence[6 * start_epoch + start_step :]
    assert int(resumed.cardinality()) == len(rest)
    assert_same(rest, batches(resumed))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": None}, "seed must be a whole number of at most 64 bits, not None"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": 2**63}, "seed must be a whole number"),
        ({"epochs": 0.5}, "epochs must be a whole number of at least 0, not 0.5"),
        ({"start_step": -1}, "must lie within the 3 epochs of 6 steps, not 0 and -1"),
        ({"start_epoch": 2, "start_step": 7}, "must lie within the 3 epochs of 6 steps"),
        ({"start_epoch": 0.5}, "must lie within the 3 epochs"),
        ({"shard": (0.0, 1)}, "shard must be"),
    ],
)
def test_numbers_out_of_range_are_refused(digits, change, message):
    with pytest.raises(DataError, match=message):
        digits.train_batches(48, **{"seed": 3, "epochs": 3} | change)


@pytest.mark.parametrize("count", [2, 3])
def test_shards_are_the_global_batch(digits, sequence, count):
    for index in range(count):
        shard = batches(digits.train_batches(48, seed=3, epochs=3, shard=(index, count)))
        assert_same([(x[index::count], y[index::count]) for x, y in sequence], shard)


def test_a_seed_may_be_large(digits):
    near, far = (
        next(iter(digits.train_batches(48, seed=seed, epochs=1)))[0]
        for seed in (2**40, 2**40 + 2**32)
    )
    assert not np.array_equal(near, far)


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


def test_first_examples_are_taken():
    full, part = data.load("digits"), data.load("digits", train_examples=50, validation_examples=7)
    assert (part.train_examples, part.validation_examples) == (50, 7)
    np.testing.assert_array_equal(part.train_images, full.train_images[:50])
    np.testing.assert_array_equal(part.validation_labels, full.validation_labels[:7])


# What is refused: one sentence each.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "fashion-mnist"}, "did you mean fashion_mnist"),
        ({"name": "imagenet2021"}, "did you mean imagenet2012"),
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
