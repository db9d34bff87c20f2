"""Say why training cannot decode a file, in a few words."""

from __future__ import annotations

import struct

from bopkit._tensorflow import tf

# Decoded they take three bytes per pixel. ImageNet's largest images have about 60 million.
MOST_PIXELS = 100_000_000

_OTHERS = {
    b"\x89PNG": "a PNG file",
    b"GIF8": "a GIF file",
    b"BM": "a BMP file",
    b"RIFF": "a WebP file",
    b"II*\0": "a TIFF file",
    b"MM\0*": "a TIFF file",
    b"PK\3\4": "a zip archive",
    b"\x1f\x8b": "a gzip file",
}

_GREYS = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256))


def problem(content: bytes, others: bool = False) -> str | None:
    """Decode a whole image, at an eighth of its size, and say why training could not use it.

    A flipped bit within an image often gives another image that is as good: only a checksum could
    tell, and JPEG has none.

    Args:
        content: the whole file.
        others: whether PNG, GIF and BMP files are images too.

    Returns:
        Words that follow the file's name, such as "is a PNG file, and not a JPEG"; None if
        nothing is wrong.
    """
    if not content.startswith(b"\xff\xd8"):
        kind = next((kind for magic, kind in _OTHERS.items() if content.startswith(magic)), None)
        if others and kind in ("a PNG file", "a GIF file", "a BMP file"):
            return _problem_of_another(content)
        return f"is {kind}, and not a JPEG" if kind else "is empty" if not content else "is no JPEG"
    try:
        height, width, _ = tf.io.extract_jpeg_shape(content).numpy().tolist()
        # Before a byte of it is decoded: a small file may claim any size.
        if height * width > MOST_PIXELS:
            return f"claims {width:,} x {height:,} pixels, of which {MOST_PIXELS:,} are the most"
        tf.io.decode_jpeg(content, channels=3, ratio=8)
    except tf.errors.OpError:
        return "is cut short or damaged"
    return None


def _problem_of_another(content):
    width, height = struct.unpack(">II", content[16:24].ljust(8, b"\0"))
    if content.startswith(b"\x89PNG") and width * height > MOST_PIXELS:
        return f"claims {width:,} x {height:,} pixels, of which {MOST_PIXELS:,} are the most"
    try:
        if has_palette(content):
            return (
                "is a BMP file with a palette of colours or fewer than 24 bits per pixel (save it "
                "as PNG)"
            )
        tf.io.decode_image(content, channels=3, expand_animations=False)
    except tf.errors.OpError:
        return "is cut short or damaged"
    return None


def has_palette(content: bytes | tf.Tensor) -> tf.Tensor:
    """Tell whether a file is a BMP that TensorFlow would decode to other colours than its own.

    TensorFlow takes the numbers of a palette's colours for shades of grey, which is right for a
    palette of all shades of grey only.

    Args:
        content: the whole file.

    Returns:
        A scalar bool.
    """

    def of_bmp():
        # The bits per pixel (2 bytes) and the compression (4) follow byte 28; the palette follows
        # the second header, whose size is at byte 14.
        bits = tf.strings.substr(content, 28, 2)
        size = tf.io.decode_raw(tf.strings.substr(content, 14, 4), tf.int32)[0]
        is_grey = tf.cond(
            tf.strings.substr(content, 28, 6) == b"\x08\0\0\0\0\0",
            lambda: tf.strings.substr(content, 14 + size, 4 * 256) == _GREYS,
            lambda: False,
        )
        return ~((bits == b"\x18\0") | (bits == b"\x20\0") | is_grey)

    return tf.cond(tf.strings.substr(content, 0, 2) == b"BM", of_bmp, lambda: False)
