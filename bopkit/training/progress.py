"""What a person sees while a run goes on: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm


class Progress:
    """A bar over the steps in a terminal, and one line for every finished epoch.

    In a log file or a notebook there is no bar, so that it stays small.

    Args:
        epochs: the number of epochs of the whole run.
        steps: steps an epoch.
        silent: show nothing at all.
    """

    def __init__(self, epochs: int, steps: int, silent: bool = False):
        self.epochs, self.steps, self.silent = epochs, steps, silent
        self.bar = None

    def start(self, epoch: int, step: int) -> None:
        """Begin to show an epoch, counted from 1, that has gone `step` steps already."""
        if not self.silent and sys.stderr.isatty():
            width = len(str(self.epochs))
            self.bar = tqdm(
                desc=f"epoch {epoch:{width}d}/{self.epochs}",
                total=self.steps,
                initial=step,
                unit="step",
                leave=False,
                dynamic_ncols=True,
            )

    def advance(self, steps: int, loss: float, accuracy: float) -> None:
        """Move the bar on; loss and top-1 are the epoch's means so far."""
        if self.bar is not None:
            self.bar.set_postfix_str(f"loss {loss:.3f}, top-1 {accuracy:.1%}", refresh=False)
            self.bar.update(steps)

    def note(self, text: str) -> None:
        """Print a line that is not an epoch's."""
        if not self.silent:
            try:
                self.close()
                print(text, flush=True)
            except OSError:  # the terminal is gone, or its log's disk is full: the run goes on
                self.silent = True

    def finish(self, row: dict) -> None:
        """Print the line of a finished epoch."""
        width = len(str(self.epochs))
        self.note(
            f"epoch {row['epoch']:{width}d}/{self.epochs}"
            f"  loss {row['loss']:.3f}  top-1 {row['accuracy']:6.1%}"
            f"  validation {row['val_accuracy']:6.1%}"
            f"  flip ratio {row['flip_ratio']:.1e}  {row['seconds']:.0f} s"
        )

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


@contextlib.contextmanager
def watch_folder(folder: Path, total: int) -> Iterator[None]:
    """Show how much is written below a folder: a bar in a terminal, a line a minute elsewhere.

    For TFDS, whose own bars do not know how much there is to come, and fill a log file. It writes
    everything twice: into .tmp files, which it removes, and from them into .tfrecord files.

    Args:
        folder: where TFDS writes; need not be there yet.
        total: how many bytes there will have been, twice the data.
    """
    # Looked at now: both may be redirected meanwhile.
    out, err, terminal = sys.stdout, sys.stderr, sys.stderr.isatty()
    stop = threading.Event()

    def watch():
        written, next_line = {}, time.monotonic()
        with tqdm(
            desc="preparing",
            total=total,
            unit="B",
            unit_scale=True,
            leave=False,
            dynamic_ncols=True,
            file=err,
            disable=not terminal,
        ) as bar:
            while not stop.wait(2):
                for place, _, names in os.walk(folder):
                    for name in names:
                        if name.endswith(".tmp") or ".tfrecord" in name:
                            with contextlib.suppress(OSError):  # removed since
                                size = os.path.getsize(os.path.join(place, name))
                                written[name] = max(size, written.get(name, 0))
                done = min(sum(written.values()), total)
                bar.update(done - bar.n)
                if not terminal and time.monotonic() > next_line:
                    next_line += 60
                    print(
                        f"preparing: {done / total:.0%} "
                        f"({in_bytes(done)} of {in_bytes(total)} written)",
                        file=out,
                        flush=True,
                    )

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def in_bytes(number: float) -> str:
    """A number of bytes as a person reads it: 147.9 GB."""
    if number < 1000:
        return f"{number:.0f} bytes"
    units = ["TB", "GB", "MB", "kB"]
    number /= 1000
    while number >= 1000 and len(units) > 1:
        number /= 1000
        units.pop()
    return f"{number:.1f} {units[-1]}"
