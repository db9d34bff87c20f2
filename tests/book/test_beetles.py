"""The folder of beetles: the same for everyone, and no problem that colours alone would solve."""

import numpy as np
import pytest
from PIL import Image
from sklearn.ensemble import RandomForestClassifier

from bopkit.book import beetles


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return beetles.write(tmp_path_factory.mktemp("beetles"), train=40, validation=20)


def photographs(half):
    for label, species in enumerate(beetles.SPECIES):
        for path in sorted((half / species).iterdir()):
            yield label, Image.open(path)


def test_it_is_a_folder_of_photographs_for_each_species(folder):
    for half, count in (("train", 40), ("val", 20)):
        assert sorted(p.name for p in (folder / half).iterdir()) == sorted(beetles.SPECIES)
        found = list(photographs(folder / half))
        assert len(found) == 4 * count
        assert {(image.format, image.mode) for _, image in found} == {("JPEG", "RGB")}
        assert len({image.size for _, image in found}) > count  # photographs have many sizes


def test_a_seed_fixes_every_byte_and_another_seed_draws_others(folder, tmp_path):
    def content(where):
        return {p.relative_to(where): p.read_bytes() for p in sorted(where.rglob("*.jpg"))}

    sizes = {"train": 3, "validation": 1}
    one = content(beetles.write(tmp_path / "one", seed=5, **sizes))
    assert one == content(beetles.write(tmp_path / "two", seed=5, **sizes))
    other = content(beetles.write(tmp_path / "other", seed=6, **sizes))
    assert one.keys() == other.keys() and not set(one.values()) & set(other.values())


def test_colours_alone_do_not_tell_the_species(folder):
    """A guess is right in 25 %; the mean and spread of the channels say little more."""

    def colours(half):
        found = [(label, np.asarray(image, float)) for label, image in photographs(half)]
        features = [[*pixels.mean((0, 1)), *pixels.std((0, 1))] for _, pixels in found]
        return features, [label for label, _ in found]

    forest = RandomForestClassifier(n_estimators=100, random_state=0)
    accuracy = forest.fit(*colours(folder / "train")).score(*colours(folder / "val"))
    assert accuracy < 0.4
