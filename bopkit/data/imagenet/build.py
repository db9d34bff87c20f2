"""Write ImageNet's prepared files with TFDS's own builder, from images that were each looked at."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow_datasets
from tensorflow_datasets.datasets.imagenet2012 import imagenet2012_dataset_builder as imagenet
from tqdm import tqdm

from bopkit.data.identity import fingerprint_names, write_fingerprint
from bopkit.errors import DataError, one_line


@dataclasses.dataclass(frozen=True)
class Source:
    """Say where the images of a split come from.

    Attributes:
        name: what to call it.
        size: bytes.
        examples: yields (name, example) of each image; takes TFDS's function that repairs some.
    """

    name: str
    size: int
    examples: Callable[[Callable], Iterator[tuple[str, dict]]]


class Builder(imagenet.Builder, skip_registration=True):
    """Build TFDS's `imagenet2012` from the images that `Images` lets through.

    Args:
        data_dir: the folder that gets `imagenet2012/VERSION`.
        sources: where the images of each split come from.
        bar: shows how many of their bytes were read.
    """

    name = "imagenet2012"
    pkg_dir_path = tensorflow_datasets.core.tfds_path("datasets/imagenet2012")

    def __init__(self, data_dir: Path, sources: dict[str, Source], bar: tqdm):
        # The description that TFDS writes names the module of the builder: TFDS's own.
        self.__module__ = imagenet.Builder.__module__
        self.sources, self.bar = sources, bar
        self.names: dict[str, list[tuple[str, int]]] = {split: [] for split in sources}
        super().__init__(data_dir=data_dir)

    def _split_generators(self, dl_manager):
        # TFDS's own would also prepare a test archive, which has no labels.
        return {split: self._generate_examples(split) for split in self.sources}

    def _generate_examples(self, split):
        source = self.sources[split]
        end = self.bar.n + source.size
        self.bar.set_description_str(f"reading {source.name}")
        for name, example in source.examples(self._fix_image):
            self.bar.update(example["image"].getbuffer().nbytes)
            label = self.info.features["label"].str2int(example["label"])
            self.names[split].append((example["file_name"], label))
            yield name, example
        self.bar.update(end - self.bar.n)  # an archive's headers
        self.bar.set_description_str(f"shuffling and writing the {split} split")


def build(work: Path, sources: dict[str, Source], bar: tqdm) -> Path:
    """Have TFDS prepare ImageNet below `work`.

    Args:
        work: a folder that holds nothing else.
        sources: where the images of each split come from.
        bar: shows how many of their bytes were read.

    Returns:
        The folder with the prepared files.

    Raises:
        DataError: if an image is damaged, or TFDS could not do it.
    """
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            builder = Builder(work, sources, bar)
            builder.download_and_prepare(download_dir=work / "downloads")
    except Exception as error:  # TFDS raises what its many parts raise, with notes of its own.
        while error.__cause__ is not None and not isinstance(error, DataError):
            error = error.__cause__
        if isinstance(error, DataError):
            raise error.with_traceback(None) from None
        reason = one_line(RuntimeError(str(error).strip().rpartition("\n")[2]))
        raise DataError(f"imagenet2012 could not be prepared: {reason}.") from error
    built = Path(builder.data_dir)
    prints = {f"{split}_files": fingerprint_names(files) for split, files in builder.names.items()}
    write_fingerprint(built, prints)
    return built
