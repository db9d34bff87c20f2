"""Read the images of ImageNet's archives, and look at each of them.

TFDS itself passes every image on undecoded, and takes a damaged header within a class's archive for
that archive's end. A damaged image would stop a training run days later, at a random step; a
damaged header would lose the rest of the class without a word.
"""

from __future__ import annotations

import concurrent.futures
import io
import itertools
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bopkit._support.text import printable
from bopkit.data.imagenet import archives
from bopkit.data.listings import Listing
from bopkit.errors import DataError, one_line

# Number of images that are looked at together, each in a thread.
AT_ONCE = 256
MOST_BYTES = 100_000_000  # of one image; ImageNet's largest has 16 million


class Images:
    """Read the images of ImageNet's archives as TFDS takes them, without the damaged ones.

    Args:
        skip_damaged: leave damaged images out and note their names; otherwise the first one raises.

    Attributes:
        skipped: a line per image that was left out: its archive, its name, what is wrong.
    """

    def __init__(self, skip_damaged: bool):
        self.skip_damaged, self.skipped, self._names = skip_damaged, [], set()

    def of(
        self, archive: archives.Archive, path: Path, mend: Callable
    ) -> Iterator[tuple[str, dict]]:
        """Yield all images of one archive that can be decoded.

        The class of a validation image follows from its name. (TFDS goes by the image's place in
        the archive, which is right only if no earlier image is missing.)

        Args:
            archive: which of the two archives it is.
            path: its file, which `archives.check` found in order.
            mend: TFDS's own function of (name, file) for the few images that it repairs by name.

        Yields:
            The image's name, and the example that TFDS stores.

        Raises:
            DataError: if an image or a class's archive is damaged and `skip_damaged` is not set.
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

    def of_folders(
        self, listing: Listing, split: str, mend: Callable
    ) -> Iterator[tuple[str, dict]]:
        """Yield all images of one half of a listing that can be decoded, as `of` does.

        Args:
            listing: what `bopkit.data.listings.find_imagenet` found.
            split: "train" or "validation".
            mend: TFDS's own function of (name, file) for the few images that it repairs by name.

        Raises:
            DataError: if an image is damaged and `skip_damaged` is not set.
        """
        contents = (
            (os.path.basename(path), (listing.root / path).read_bytes(), listing.classes[label])
            for path, label in getattr(listing, split)
            if self._is_small_file(listing.root / path)
        )
        mend = mend if split == "train" else None
        for name, image, label in self._decodable(str(listing.root), contents, mend):
            yield name, {"file_name": name, "image": image, "label": label}

    def _is_small_file(self, path):
        if path.is_file() and path.stat().st_size <= MOST_BYTES:
            return True
        self._skip(str(path), "is not a file, or too large for an image")
        return False

    def _members(self, where, source):
        """Yield (name, content) of the ordinary files in an archive, to its very end."""
        at = {"fileobj": source} if isinstance(source, io.BytesIO) else {"name": source}
        try:
            with tarfile.open(mode="r:", **at) as archive:
                for member in archive:
                    if archives.passed_over(member):
                        continue
                    name = os.path.normpath(member.name)
                    # A sparse member takes no room here, and any amount of memory when it is read.
                    if member.issparse() or member.size > MOST_BYTES:
                        self._skip(where, f"{member.name} claims {member.size:,} bytes")
                    elif not member.isreg():
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
        """Yield the name, the content and, if it has one, the label of each image in order."""
        from bopkit.data.imagenet import jpegs

        def look(image):
            name, content, *label = image
            try:
                if mend is not None:
                    content = mend(name, io.BytesIO(content)).read()
                problem = jpegs.problem(content)
            except Exception as error:  # what TFDS raises of an image that it cannot repair
                problem = f"cannot be mended ({one_line(error)})"
            return name, content, label, problem

        with concurrent.futures.ThreadPoolExecutor() as threads:
            while some := list(itertools.islice(images, AT_ONCE)):
                for name, content, label, problem in threads.map(look, some):
                    if problem is None and name in self._names:
                        problem = "is there twice"
                    if problem is None:
                        self._names.add(name)
                        yield name, io.BytesIO(content), *label
                    else:
                        self._skip(where, f"{name} {problem}")

    def _skip(self, where, problem):
        # What is left out is counted by lines, and a member's name is whatever somebody gave it.
        where, problem = printable(where), printable(problem)
        if not self.skip_damaged:
            raise DataError(
                f"{where}: {problem}; get it again, or leave out what is damaged with "
                "--skip-damaged."
            )
        self.skipped.append(f"{where}: {problem}")
