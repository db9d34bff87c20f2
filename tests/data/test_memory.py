from collections import Counter

import numpy as np
import pytest

import bopkit  # noqa: F401  # sets TF_USE_LEGACY_KERAS before TensorFlow is imported

import tensorflow as tf  # isort: skip

from bopkit import data
from bopkit.data import memory


def batches(dataset):
    return [(images.numpy(), labels.numpy()) for images, labels in dataset]


def raw(images):
    """Undoes the scaling."""
    return np.rint((images + 1) * 127.5).astype(np.uint8)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", preprocess="resize_and_flip", train_examples=300)


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
    for image, augmented in zip(images.numpy(), memory.crop_and_flip(images, random), strict=True):
        matching = [key for key, crop in variants(image, 1) if np.array_equal(crop, augmented)]
        assert matching
        if len(matching) == 1:
            found[matching[0]] += 1
    assert len(found) == 18, "each of 3 x 3 places, flipped or not, should occur"


def test_augmented_batches_are_the_plain_ones_augmented(digits):
    plain = data.load("digits", train_examples=300).train_batches(20, seed=0, epochs=1).take(3)
    augmented = digits.train_batches(20, seed=0, epochs=1).take(3)
    for (images, labels), (others, other_labels) in zip(
        batches(plain), batches(augmented), strict=True
    ):
        np.testing.assert_array_equal(labels, other_labels)
        for image, other in zip(raw(images), raw(others), strict=True):
            assert any(np.array_equal(crop, other) for _, crop in variants(image, pad=1))


def test_images_of_one_batch_are_augmented_each_in_its_own_way(digits):
    same = tf.repeat(digits.train_images[:1], 64, axis=0)
    random = tf.random.stateless_uniform((3, 64), (0, 0))
    assert len({image.numpy().tobytes() for image in memory.crop_and_flip(same, random)}) > 8


def test_padding_is_black_before_scaling():
    white = np.full((4, 32, 32, 3), 255, np.uint8)
    labels = np.zeros(4, np.int64)
    halves = (white, labels), (white, labels)
    made = memory.InMemory("white", *halves, None, None, "resize_and_flip", num_classes=1)
    images = np.concatenate([x for x, _ in batches(made.train_batches(4, seed=0, epochs=8))])
    assert set(np.unique(images)) == {-1.0, 1.0}
    black = (images[..., 0] == -1).sum((1, 2))
    assert black.max() <= 32 * 32 - 28 * 28
    validation = np.concatenate([x for x, _ in batches(made.validation_batches(4))])
    assert (validation == 1).all()
