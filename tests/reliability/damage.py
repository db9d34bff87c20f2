"""Small data sets, and ways to damage them that disks, networks and people know."""

import gzip
import io
import struct
import tarfile

import numpy as np
from PIL import Image

from bopkit.data.imagenet import drawn

SYNSET = "n01440764"


def write_fashion_mnist(folder, examples=40):
    """The four files of Fashion-MNIST, small."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for prefix in ("train", "t10k"):
        images = random.integers(0, 256, (examples, 28, 28), np.uint8).tobytes()
        labels = random.integers(0, 10, examples, np.uint8).tobytes()
        for kind, header, content in (
            ("images-idx3", struct.pack(">4I", 0x803, examples, 28, 28), images),
            ("labels-idx1", struct.pack(">2I", 0x801, examples), labels),
        ):
            (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + content))
    return folder


def flip(content, random):
    """One bit, anywhere."""
    damaged = bytearray(content)
    damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def picture(size=(40, 30), mode="RGB", kind="JPEG", **options):
    """An encoded picture of noise."""
    random = np.random.default_rng(0)
    if mode == "I;16":
        image = Image.fromarray(random.integers(0, 65536, size[::-1], np.uint16))
    else:
        image = Image.fromarray(random.integers(0, 256, (*size[::-1], 3), np.uint8)).convert(mode)
    if kind == "GIF":
        options = {"save_all": True, "append_images": [image.rotate(90)]}
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def claiming(width, height):
    """A small JPEG whose header claims a size."""
    jpeg = picture()
    start = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:start] + struct.pack(">2H", height, width) + jpeg[start + 4 :]


# By the name of the image: what training cannot decode, and what is said of it.
BAD = {
    "cut": (picture()[:700], "is cut short or damaged"),
    "end": (picture()[:-2], "is cut short or damaged"),
    "header": (picture()[:10], "is cut short or damaged"),
    "bomb": (claiming(65_535, 65_535), "is cut short or damaged"),  # beyond what JPEG allows
    "bomb2": (claiming(65_000, 65_000), "claims 65,000 x 65,000 pixels"),
    "square": (claiming(20_000, 20_000), "claims 20,000 x 20,000 pixels"),
    "png16": (picture(mode="I;16", kind="PNG"), "is a PNG file, and not a JPEG"),
    "gif": (picture(mode="P", kind="GIF"), "is a GIF file, and not a JPEG"),
    "zip": (b"PK\3\4" + bytes(99), "is a zip archive, and not a JPEG"),
    "gzip": (gzip.compress(bytes(9_999_999)), "is a gzip file, and not a JPEG"),
    "text": (b"<html>Log in</html>", "is no JPEG"),
    "empty": (b"", "is empty"),
}
# What is odd, and can be decoded.
ODD = {
    "one": picture((1, 1)),
    "wide": picture((20_000, 2)),
    "high": picture((2, 20_000)),
    "cmyk": picture(mode="CMYK"),
    "grey": picture(mode="L"),
    "progressive": picture(progressive=True),
}


def member(name, content=b"", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    return info, content


def sparse(name, size):
    """A member that takes no room in its archive, and is this long when it is read."""
    info, content = member(name)
    info.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(size)}
    return info, content


def tar(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def write_imagenet(folder, train, validation=()):
    """ImageNet's two archives: these members in one class, and these validation images."""
    folder.mkdir(parents=True)
    inner = train if isinstance(train, bytes) else tar(train)
    (folder / "ILSVRC2012_img_train.tar").write_bytes(tar([member(f"{SYNSET}.tar", inner)]))
    images = [drawn.draw(SYNSET, (n,), size=(40, 30)) for n in range(3)] + list(validation)
    (folder / "ILSVRC2012_img_val.tar").write_bytes(
        tar(member(f"ILSVRC2012_val_{n:08d}.JPEG", jpeg) for n, jpeg in enumerate(images, 1))
    )
    return folder


def images(named):
    return [member(f"{SYNSET}_{name}.JPEG", content) for name, content in named.items()]
