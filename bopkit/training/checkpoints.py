"""Which checkpoints there are, and whether they can be trusted."""

from __future__ import annotations

import re
from pathlib import Path

from bopkit._tensorflow import tf


def find(folder: Path) -> list[str]:
    """The checkpoints in a folder, newest first.

    Not from the list that TensorFlow keeps beside them, which may be lost or damaged itself.
    """
    found = (re.fullmatch(r"ckpt-(\d+)\.index", path.name) for path in folder.glob("ckpt-*.index"))
    numbers = sorted((int(match[1]) for match in found if match), reverse=True)
    return [str(folder / f"ckpt-{number}") for number in numbers]


def is_whole(path: str) -> bool:
    """Whether every tensor of a checkpoint can be read: TensorFlow checks a sum over each.

    To be asked before anything is restored, so that no half of a bad checkpoint is.

    Args:
        path: the checkpoint, without the suffixes of its files.
    """
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except Exception:  # OpError, IndexError, RuntimeError, ValueError: it depends on the damage
        return False
    return True
