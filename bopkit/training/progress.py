"""What a person sees of a run: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys

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
            except OSError:  # the terminal is gone, or its log's disk is full: the run continues
                self.silent = True

    def finish(self, row: dict, warning: str | None = None) -> None:
        """Print the line of a finished epoch, and another for what is wrong with it."""
        width = len(str(self.epochs))
        self.note(
            f"epoch {row['epoch']:{width}d}/{self.epochs}"
            f"  loss {row['loss']:.3f}  top-1 {row['accuracy']:6.1%}"
            f"  validation {row['val_accuracy']:6.1%}"
            f"  flip ratio {row['flip_ratio']:.1e}  {row['seconds']:.0f} s"
        )
        if warning:
            self.note(f"warning: {warning}")

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
