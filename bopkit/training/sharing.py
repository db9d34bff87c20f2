"""Share the GPUs of a machine between runs: each run sees its own, and no run sees all."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from bopkit.errors import ConfigError

_held = []  # locks, for as long as this process lives


def names(number: int) -> list[str]:
    """Name the GPUs that this process sees, as CUDA_VISIBLE_DEVICES does.

    Args:
        number: how many they are.

    Example:
        >>> names(2)
        ['0', '1']
    """
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return given if len(given) == number and all(given) else list(map(str, range(number)))


@functools.cache  # a process keeps its GPUs for all its runs
def claim(places: str, gpus: tuple[str, ...], wanted: int) -> None:
    """Take the GPUs of a free place for this process; its later runs keep them.

    A place is a locked file. The system unlocks it when its process ends, in whatever way, so that
    a new process finds the GPUs of one that died.

    Args:
        places: a folder for the locks.
        gpus: what `names` returned, in the process that shares them out.
        wanted: how many GPUs a process takes. If there are more processes than places, they share.

    Raises:
        ConfigError: TensorFlow already uses other GPUs in this process, and cannot give them up.
    """
    if wanted == len(gpus):  # nothing has to be hidden
        return
    import fcntl  # TensorFlow has no GPUs on Windows

    place = 0
    while True:
        lock = Path(places, str(place)).open("w")  # noqa: SIM115 (held until the process ends)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            lock.close()
            place += 1
    _held.append(lock)
    mine = [(place * wanted + i) % len(gpus) for i in range(wanted)]
    if "tensorflow" not in sys.modules:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[i] for i in mine)
        return
    from bopkit._tensorflow import tf

    # A sweep with one run at a time is in the process that has looked for GPUs already.
    all_of_them = tf.config.list_physical_devices("GPU")
    try:
        tf.config.set_visible_devices([all_of_them[i] for i in mine], "GPU")
    except RuntimeError as error:
        raise ConfigError(
            f"TensorFlow already uses all {len(gpus)} GPUs in this process, so a run in it cannot "
            f"have only {wanted} of them: set gpus_per_run to {len(gpus)}, or start the sweep in a "
            "new process."
        ) from error
