"""Write ImageNet's prepared files with TFDS's own builder, from images that were each looked at."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import tensorflow_datasets
from tensorflow_datasets.datasets.imagenet2012 import imagenet2012_dataset_builder as imagenet
from tqdm import tqdm

from bopkit.data.imagenet import archives
from bopkit.data.imagenet.images import Images
from bopkit.errors import DataError, one_line


class Builder(imagenet.Builder, skip_registration=True):
    """Build TFDS's `imagenet2012` from the images that `Images` lets through.

    Args:
        data_dir: the folder that gets `imagenet2012/VERSION`.
        found: the file of each archive.
        images: reads the archives.
        bar: shows how many of the archives' bytes were read.
    """

    name = "imagenet2012"
    pkg_dir_path = tensorflow_datasets.core.tfds_path("datasets/imagenet2012")

    def __init__(self, data_dir: Path, found: dict, images: Images, bar: tqdm):
        # The description that TFDS writes names the module of the builder: TFDS's own.
        self.__module__ = imagenet.Builder.__module__
        self.found, self.images, self.bar = found, images, bar
        super().__init__(data_dir=data_dir)

    def _split_generators(self, dl_manager):
        # TFDS's own would also prepare a test archive, which has no labels.
        return {
            archive.split: self._generate_examples(archive, path)
            for archive, path in self.found.items()
        }

    def _generate_examples(self, archive, path):
        end = self.bar.n + path.stat().st_size
        self.bar.set_description_str(f"reading {path.name}")
        for name, example in self.images.of(archive, path, self._fix_image):
            self.bar.update(example["image"].getbuffer().nbytes)
            yield name, example
        self.bar.update(end - self.bar.n)  # the archive's headers
        self.bar.set_description_str(f"shuffling and writing the {archive.split} split")


def build(work: Path, found: dict[archives.Archive, Path], images: Images, bar: tqdm) -> Path:
    """Have TFDS prepare ImageNet below `work`.

    Args:
        work: a folder that is there for this alone.
        found: the file of each archive.
        images: reads the archives, and notes what it left out.
        bar: shows how many of the archives' bytes were read.

    Returns:
        The folder with the prepared files.

    Raises:
        DataError: if an image is damaged, or TFDS could not do it.
    """
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            builder = Builder(work, found, images, bar)
            builder.download_and_prepare(download_dir=work / "downloads")
    except Exception as error:  # TFDS raises what its many parts raise, with notes of its own.
        while error.__cause__ is not None and not isinstance(error, DataError):
            error = error.__cause__
        if isinstance(error, DataError):
            raise error.with_traceback(None) from None
        reason = one_line(RuntimeError(str(error).strip().rpartition("\n")[2]))
        raise DataError(f"imagenet2012 could not be prepared: {reason}.") from error
    return Path(builder.data_dir)
