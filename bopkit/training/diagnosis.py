"""What settings and flips say of a run that cannot work, or not well. No TensorFlow here.

A network whose binary weights never flip still learns a little, with its batch normalization alone,
and one whose weights flip at random does too: neither shows in the loss as an error would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

# Of all binary weights, in a step, on average over an epoch. In the runs of this book it is 4.5 %
# at the most, with the highest gamma; a half is what random gradients flip at gamma 1, threshold 0.
TOO_MANY = 0.1
# Of all binary weights, in the one step of an epoch that flipped most. In the first step of all,
# about a half do where the threshold is low: signs drawn at random disagree with it by chance.
TOO_MANY_AT_ONCE = 0.75


def before(precision: str, hardware: Mapping[str, object]) -> str | None:
    """Looks at the machine before a run; says what it is not made for.

    Args:
        precision: the run's.
        hardware: as in a run's record.

    Returns:
        One line with what to do, or None.
    """
    x86 = hardware.get("machine") in ("x86_64", "AMD64")
    lacking = x86 and not hardware.get("gpus") and hardware.get("bfloat16") == []
    if precision == "mixed_bfloat16" and lacking:
        return (
            "this processor does not compute in bfloat16 but converts to float32 and back, which "
            "can take longer than float32: precision=float32 is for it."
        )
    return None


def find(
    rows: Sequence[Mapping[str, float]],
    *,
    threshold: float | None,
    largest_signal: Callable[[], float],
    signal: str = "|m|",
) -> str | None:
    """Looks at the last epoch; says what is wrong when it begins, not again in every epoch.

    Args:
        rows: the epochs' rows of a run's record so far, at least one.
        threshold: τ at the end of the epoch; None for a run with latent weights.
        largest_signal: returns the size of the largest signal (Bop's m) of all binary weights;
            called only if there is something to say, and never for latent weights.
        signal: what that size is called.

    Returns:
        One line with the numbers and the likely cause, or None.
    """
    row = rows[-1]
    found = _kind(row)
    if found is None or (len(rows) > 1 and _kind(rows[-2]) == found):
        return None
    epoch, latent = row["epoch"], threshold is None
    if found == "many":
        share = f"{row['flip_ratio']:.0%} of the binary weights flipped in a step of epoch {epoch}"
        cause = (
            f"the learning rate {row['learning_rate']:.2g} is too high"
            if latent
            else f"gamma {row['gamma']:.2g} is too high, or the threshold {threshold:.2g} too low "
            f"for {signal} up to {largest_signal():.1e}"
        )
        return f"{share}, on average: that is noise, not learning; {cause}."
    if found == "at once":
        share = (
            f"{row['max_flip_ratio']:.0%} of the binary weights flipped in a single step of epoch "
            f"{epoch}: chance flips about a half of them, so one gradient was far larger than "
            "the others, or all of it has the wrong sign"
        )
        cure = (
            "a lower learning rate"
            if latent
            else f"a gamma below {row['gamma']:.2g} or a threshold above {threshold:.2g}"
        )
        return f"{share}; look at the loss and at its gradient, and then try {cure}."
    if latent:
        return (
            f"no latent weight changed its sign in epoch {epoch}: the learning rate "
            f"{row['learning_rate']:.2g} is too low, or the weights have settled."
        )
    nothing = f"no binary weight flipped in epoch {epoch}"
    largest = largest_signal()
    if largest == 0:
        return f"{nothing}: all their gradients are zero, so nothing of the loss reaches them."
    if largest <= threshold:
        return (
            f"{nothing}: the threshold {threshold:.2g} is above the largest {signal} "
            f"({largest:.1e}); try one well below that, such as {largest / 10:.0e}."
        )
    return (
        f"{nothing}, though the largest {signal} ({largest:.1e}) is above the threshold "
        f"{threshold:.2g}: one very large gradient holds them as they are, or they have settled; "
        f"if that is too early, keep gamma, now {row['gamma']:.2g}, higher for longer."
    )


def _kind(row):
    if row["flip_ratio"] == 0:
        return "none"
    if row["flip_ratio"] > TOO_MANY:
        return "many"
    # Not in the rows of the first versions.
    return "at once" if (row.get("max_flip_ratio") or 0) > TOO_MANY_AT_ONCE else None
