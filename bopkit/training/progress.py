"""What a person sees of a run: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

EVERY = 180  # seconds from one line within an epoch to the next


class Progress:
    """A bar over the steps in a terminal, and one line for every finished epoch.

    In a log file or a notebook, where a bar would fill pages, a line every three minutes says how
    far a long epoch is.

    Args:
        epochs: the number of epochs of the whole run.
        steps: steps per epoch.
        batch_size: images per step.
        silent: show nothing at all.
    """

    def __init__(self, epochs: int, steps: int, batch_size: int, silent: bool = False):
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size
        self.silent, self.bar = silent, None
        self._said, self._calls = time.monotonic(), []

    def start(self, epoch: int, step: int) -> None:
        """Begin to show an epoch, counted from 1, of which `step` steps are done already."""
        self._epoch, self._step = epoch, step
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

    def advance(
        self,
        steps: int,
        seconds: float,
        metrics: dict[str, float],
        flip_ratio: Callable[[], float],
    ) -> dict[str, float] | None:
        """Show that some more steps are done.

        Args:
            steps: how many.
            seconds: how long they took.
            metrics: the epoch's means so far, with loss and accuracy.
            flip_ratio: computes the epoch's flip ratio so far; called every few minutes only.

        Returns:
            Every few minutes, what a log should keep of this step; None at other times.
        """
        self._step += steps
        self._calls.append((steps, seconds))
        if self.bar is not None:
            text = f"loss {metrics['loss']:.3f}, top-1 {metrics['accuracy']:.1%}"
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(steps)
        if time.monotonic() - self._said < EVERY:
            return None
        # The first call of a run compiles, too.
        calls = self._calls[1:] or self._calls
        rate = sum(n for n, _ in calls) / sum(s for _, s in calls)  # steps per second
        self._said, self._calls = time.monotonic(), [(0, 0.0)]
        scalars = {
            "loss": metrics["loss"],
            "accuracy": metrics["accuracy"],
            "flip_ratio": flip_ratio(),
            "images_per_second": rate * self.batch_size,
        }
        if self.bar is None:
            width, of_steps = len(str(self.epochs)), f"{self.steps:,}"
            left = (self.epochs - self._epoch + 1) * self.steps - self._step
            self.note(
                f"epoch {self._epoch:{width}d}/{self.epochs}"
                f"  step {self._step:{len(of_steps)},}/{of_steps}"
                f"  loss {scalars['loss']:.3f}  top-1 {scalars['accuracy']:6.1%}"
                f"  flip ratio {scalars['flip_ratio']:.1e}"
                f"  {scalars['images_per_second']:,.0f} images/s"
                f"  {_duration(left / rate)} of training left"
            )
        return scalars

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


def _duration(seconds: float) -> str:
    """A time to come, as exactly as one can know it."""
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {max(1, minutes)} min"
    hours = round(seconds / 3600)
    if hours < 48:
        return f"about {minutes // 60} h {minutes % 60} min"
    return f"about {hours // 24} days {hours % 24} h"
