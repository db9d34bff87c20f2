"""Say what an export wrote, and whether the file predicts what the network does."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Report:
    """Report what `export` wrote, and whether the file predicts what the network does.

    Attributes:
        path: the file.
        bytes: the file's size.
        binary_float_bytes: how many bytes the binary weights take in float32.
        images: how many validation images both have predicted.
        different: which images got different classes, as places in the validation set.
        accuracy: top-1 accuracy of the file on the images, in [0, 1].
        keras_accuracy: top-1 accuracy of the network on the images, in [0, 1].
        in_float32: whether the network, which computes in bfloat16, was compared in float32, as the
            file computes.
        largest_difference: the largest difference between two probabilities.
        margins: for each image of `different`, by how much Keras' probabilities of the two classes
            differ.
        not_binary: names of the binary layers whose weights take more than one bit in the file.
        recalibrated: how many training batches the network's batch normalization was fitted to; 0
            if it has the averages that training left.
        lagging_accuracy: top-1 accuracy of the network before that, in [0, 1]; None without it.

    Example:
        >>> report = bopkit.export("runs/digits", output="digits.npz")
        >>> report.different, report.accuracy == report.keras_accuracy
        ((), True)
    """

    path: Path
    bytes: int
    binary_float_bytes: int
    images: int
    different: tuple[int, ...]
    accuracy: float
    keras_accuracy: float
    largest_difference: float
    margins: tuple[float, ...]
    not_binary: tuple[str, ...] = ()
    in_float32: bool = False
    recalibrated: int = 0
    lagging_accuracy: float | None = None

    @property
    def agreement(self) -> float:
        """The share of images that get the same class from the file and from Keras, in [0, 1].

        Example:
            >>> bopkit.export("runs/digits", output="digits.npz").agreement
            1.0
        """
        return 1 - len(self.different) / self.images

    @property
    def _keras(self):
        return "Keras in float32" if self.in_float32 else "Keras"

    def __str__(self):
        times = self.binary_float_bytes / self.bytes
        lines = [
            f"{self.path}: {self.bytes:,} bytes, 1/{times:.1f} of its binary weights in float32.",
            f"{self.agreement:.2%} of {self.images:,} validation images get the same class as from "
            f"{self._keras}; top-1 {self.accuracy:.2%}, {self._keras} {self.keras_accuracy:.2%}.",
        ]
        if self.recalibrated:
            lines.append(
                f"Batch normalization is recalibrated over {self.recalibrated} training batches; "
                f"with the averages that training left, top-1 was {self.lagging_accuracy:.2%}."
            )
        for number, margin in list(zip(self.different, self.margins, strict=True))[:10]:
            lines.append(f"image {number} differs; Keras had its two classes {margin:.1e} apart.")
        if len(self.different) > 10:
            lines.append(f"{len(self.different) - 10} more differ.")
        if self.not_binary:
            lines.append(f"not one bit wide in this file: {', '.join(self.not_binary)}.")
        return "\n".join(lines)
