"""Has TFDS write ImageNet's prepared files, from images that were each looked at.

TFDS itself passes every image on undecoded, and takes a damaged header within a class's archive for
that archive's end. The one stops a training run days later, at a random step; the other loses the
rest of the class, and nobody is told.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import itertools
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from bopkit.data.imagenet import archives
from bopkit.errors import DataError, one_line

# Images looked at together, each in a thread.
AT_ONCE = 256


class Images:
    """The images of ImageNet's archives as TFDS takes them, without those that are damaged.

    Args:
        skip_damaged: leave damaged images out, and keep their names; else the first one raises.

    Attributes:
        skipped: a line for each that was left out: its archive, its name, what is wrong.
    """

    def __init__(self, skip_damaged: bool):
        self.skip_damaged, self.skipped = skip_damaged, []

    def of(self, archive: archives.Archive, path: Path, mend) -> Iterator[tuple[str, dict]]:
        """All images of one archive that can be decoded.

        Args:
            archive: which of the two it is.
            path: its file, which `archives.check` found in order.
            mend: TFDS's own function of (name, file) for the few images that it mends by name.

        Yields:
            The image's name, and what TFDS stores of it.

        Raises:
            DataError: an image, or a class's archive, is damaged and `skip_damaged` is not set.
        """
        if archive.split == "validation":
            labels = archives.imagenet_list("validation_labels.txt")
            for name, image in self._decodable(path.name, self._members(path.name, path), None):
                number = int(name[-13:-5])
                yield name, {"file_name": name, "image": image, "label": labels[number - 1]}
            return
        with tarfile.open(path, "r:") as classes:
            for member in classes:
                if archives.passed_over(member):
                    continue
                name = os.path.normpath(member.name)
                content = io.BytesIO(classes.extractfile(member).read())
                images = self._members(f"{path.name}: {name}", content)
                for image_name, image in self._decodable(f"{path.name}: {name}", images, mend):
                    yield image_name, {"file_name": image_name, "image": image, "label": name[:-4]}

    def _members(self, where, source):
        """(name, content) of the ordinary files in an archive, to its very end."""
        at = {"fileobj": source} if isinstance(source, io.BytesIO) else {"name": source}
        try:
            with tarfile.open(mode="r:", **at) as archive:
                for member in archive:
                    if archives.passed_over(member):
                        continue
                    name = os.path.normpath(member.name)
                    if not member.isreg():
                        self._skip(where, f"{member.name} is a link or a device, and not a file")
                    elif os.path.isabs(name) or name.startswith(".."):
                        self._skip(where, f"{member.name} leads out of the folder")
                    else:
                        yield name, archive.extractfile(member).read()
                archive.fileobj.seek(archive.offset)
                # tarfile takes the first block that is no header for the end, wherever that is.
                rest = archive.fileobj.read(archives.LONGEST_PADDING + 1)
                if not tarfile.BLOCKSIZE <= len(rest) <= archives.LONGEST_PADDING or any(rest):
                    self._skip(
                        where, f"what follows byte {archive.offset:,} is cut short or damaged"
                    )
        except (tarfile.TarError, OSError) as error:
            self._skip(where, f"the rest is cut short or damaged ({one_line(error)})")

    def _decodable(self, where, images, mend):
        from bopkit.data.imagenet import jpegs

        def look(named):
            name, content = named
            try:
                if mend is not None:
                    content = mend(name, io.BytesIO(content)).read()
                return name, content, jpegs.problem(content)
            except Exception as error:  # what TFDS raises of an image that it cannot mend
                return name, content, f"cannot be mended ({one_line(error)})"

        with concurrent.futures.ThreadPoolExecutor() as threads:
            while some := list(itertools.islice(images, AT_ONCE)):
                for name, content, problem in threads.map(look, some):
                    if problem is None:
                        yield name, io.BytesIO(content)
                    else:
                        self._skip(where, f"{name} {problem}")

    def _skip(self, where, problem):
        if not self.skip_damaged:
            raise DataError(
                f"{where}: {problem}; get the archive again, or leave out what is damaged with "
                "--skip-damaged."
            )
        self.skipped.append(f"{where}: {problem}")


def build(work: Path, found: dict[archives.Archive, Path], images: Images) -> Path:
    """Has TFDS prepare ImageNet below `work`.

    Args:
        work: a folder that is there for this alone.
        found: the archives.
        images: gives the images, and keeps what it left out.

    Returns:
        The folder with the prepared files.

    Raises:
        DataError: an image is damaged, or TFDS could not do it.
    """
    manual_dir = work / "manual"
    manual_dir.mkdir(parents=True)
    for path in found.values():
        # A folder with these two alone: TFDS would also prepare a test archive, without labels.
        (manual_dir / path.name).symlink_to(path.resolve())

    from bopkit._tensorflow import load_tensorflow

    load_tensorflow()
    import tensorflow_datasets as tfds
    from tensorflow_datasets.datasets.imagenet2012 import imagenet2012_dataset_builder as imagenet
    from tensorflow_datasets.datasets.imagenet2012 import imagenet_common

    def examples(builder, archive, validation_labels=None, labels_exist=True):
        split = "validation" if validation_labels else "train"
        (one,) = (archive for archive in found if archive.split == split)
        return images.of(one, found[one], builder._fix_image)

    silence = io.StringIO()
    try:
        # TFDS labels the validation images by their place in the archive: right if it begins with
        # ImageNet's first and leaves none out, silently wrong for any other part. `Images` goes by
        # their names: the former come out the same and the latter right.
        with (
            mock.patch.object(imagenet.Builder, "_generate_examples", examples),
            mock.patch.object(imagenet_common, "get_validation_labels", return_value=True),
            contextlib.redirect_stdout(silence),
            contextlib.redirect_stderr(silence),
        ):
            builder = tfds.builder("imagenet2012", data_dir=work)
            builder.download_and_prepare(
                download_dir=work / "downloads",
                download_config=tfds.download.DownloadConfig(manual_dir=manual_dir),
            )
    except Exception as error:  # TFDS raises what its many parts raise, with notes of its own.
        while error.__cause__ is not None and not isinstance(error, DataError):
            error = error.__cause__
        if isinstance(error, DataError):
            raise error.with_traceback(None) from None
        reason = one_line(RuntimeError(str(error).strip().rpartition("\n")[2]))
        raise DataError(f"imagenet2012 could not be prepared: {reason}.") from error
    return Path(builder.data_dir)
