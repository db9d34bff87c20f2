"""Diagnose a run from its curves: name the likely fault in its settings, and what to change.

A network whose binary weights never flip still learns a little, through its batch normalization,
and so does one whose weights flip at random: the loss shows neither as an error. This module does
not load TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

# Where one symptom ends and the next begins. Flip ratios are shares of all binary weights in one
# step, averaged over an epoch. They were measured on the small network of `bopkit.book.toy` and are
# held to it by tests/book/pictures/test_diagnosis.py. The runs in results/ flip 4.5 % at the most,
# with the highest γ; random gradients flip a half at γ = 1, τ = 0.
CHURNING = 0.1
NOISY = 0.01
QUIET = 2e-4  # one of the small network's 4,736 weights per step
# A single step. In the first one about a half of the weights flip where τ is low, because signs
# drawn at random disagree with it by chance.
TURNED = 0.75
FITTED = 0.92  # training top-1 that runs with the right flips go beyond
POOR = 0.84  # training top-1 below which even lively flips have led nowhere
LOST = 0.04  # of validation top-1, from the best epochs to the last
SUDDEN = 10.0  # γ and the flip ratio divided by so much from one epoch to the next


class Diagnosis(NamedTuple):
    """Hold what a run's curves say about its settings.

    Attributes:
        name: the symptom. One of `everything flips`, `getting worse`, `noise floor`,
            `γ dropped too early`, `too few flips`, `γ and τ too high` and `healthy`.
        evidence: the numbers behind the diagnosis, as a clause.
        change: what to try next, as a clause; empty for a healthy run.
        alarm: whether a single epoch is enough for this diagnosis.

    Example:
        >>> found = diagnose([0.6, 0.9], [0.6, 0.9], [0.3, 0.2], [1.0, 1.0])
        >>> found.evidence, found.change
        ('25 % of the weights flip in a late step', 'let γ fall over the run, or start it lower')
    """

    name: str
    evidence: str
    change: str
    alarm: bool = False


def diagnose(
    train_accuracy: Sequence[float],
    accuracy: Sequence[float],
    flip_ratio: Sequence[float],
    gamma: Sequence[float],
    threshold: float | None = None,
) -> Diagnosis:
    """Name the likely fault of a run of Bop, by rules on four curves.

    `diagnose` tries the rules in this order. "Late" means the last quarter of the epochs, and at
    least two of them:

    1. everything flips: late flip ratio of at least 10 %;
    2. getting worse: the mean late validation accuracy is at least 4 points below the best mean
       over as many consecutive epochs;
    3. noise floor: late flip ratio of at least 1 %;
    4. γ dropped too early: from one epoch to the next γ and the flip ratio were divided by 10 or
       more, from at least 1 %;
    5. too few flips: late flip ratio below 0.02 %, and late training accuracy below 92 % or no
       flip in the whole run;
    6. γ and τ too high: late training accuracy below 84 %, however many weights flip;
    7. healthy: none of these.

    The limits were chosen for the small network of `bopkit.book.toy`; for another network they are
    a starting point. They are for batches of 100 images out of 1,437, which are 14 steps per epoch.
    If you scale γ with the batch, equally many weights flip per epoch but more per step, so with
    batches of B of these images divide the flip ratios by B / 100 first, and cap them at 1. With
    more steps per epoch the limits are too high.

    Args:
        train_accuracy: top-1 on the training batches of each epoch, in [0, 1]; (epochs,).
        accuracy: top-1 on held-out images after each epoch, in [0, 1]; (epochs,).
        flip_ratio: mean share of binary weights that flipped in a step of each epoch, in [0, 1];
            (epochs,).
        gamma: γ at the start of each epoch, or None where the method has no γ; (epochs,).
        threshold: the last epoch's τ. Pass it if you know it, because at τ = 0 the change must not
            be a lower τ.

    Returns:
        A `Diagnosis`.

    Raises:
        ValueError: there are fewer than two epochs, the lengths differ, or one of the first three
            curves holds NaN or a number outside [0, 1].

    Example:
        >>> diagnose([0.6, 0.9], [0.6, 0.9], [0.3, 0.2], [1.0, 1.0]).name
        'everything flips'
    """
    curves = (train_accuracy, accuracy, flip_ratio, gamma)
    if len(train_accuracy) < 2 or len({len(c) for c in curves}) > 1:
        raise ValueError(
            "a diagnosis needs four curves of one length, two epochs or more; got "
            f"{', '.join(str(len(c)) for c in curves)}."
        )
    for name, curve in zip(("train_accuracy", "accuracy", "flip_ratio"), curves, strict=False):
        wrong = [share for share in curve if not 0 <= share <= 1]  # NaN too
        if wrong:
            raise ValueError(f"{name} must hold shares from 0 to 1, not percent; got {wrong[0]:g}.")
    return _first_symptom(*curves, threshold=threshold)


def diagnose_record(record: Mapping[str, object]) -> Diagnosis:
    """Apply `diagnose` to a run of `bopkit.train`.

    Args:
        record: a run's record, as `bopkit.records.read` gives it; of Bop, two epochs or more.

    Returns:
        A `Diagnosis`.

    Raises:
        ValueError: as `diagnose`.

    Example:
        >>> diagnose_record(bopkit.records.read("runs/digits")).name
        'noise floor'
    """
    rows = record["epochs"]
    # A row holds γ after the epoch's last step, which is the γ of the next epoch.
    gamma = [record["config"].get("gamma"), *(row["gamma"] for row in rows[:-1])]
    curves = ([row[key] for row in rows] for key in _CURVES)
    return diagnose(*curves, gamma, rows[-1].get("threshold"))


_CURVES = ("accuracy", "val_accuracy", "flip_ratio")


def _first_symptom(fit, accuracy, flips, gamma, most=0.0, threshold=None) -> Diagnosis:
    fit, accuracy, flips, gamma = (np.asarray(c, float) for c in (fit, accuracy, flips, gamma))
    window = min(len(fit), max(2, len(fit) // 4))
    late = flips[-window:].mean()
    stretches = np.convolve(accuracy, np.ones(window) / window, "valid")
    lost = stretches.max() - stretches[-1]
    share = f"{percent(late)} of the weights flip in a late step"
    if late >= CHURNING:
        change = "let γ fall over the run, or start it lower"
        return Diagnosis("everything flips", share, change, alarm=True)
    if most > TURNED:
        evidence = f"{percent(most)} of the weights flipped in a single step"
        return Diagnosis("one step turned most weights", evidence, "lower γ, or raise τ", True)
    if lost >= LOST:
        evidence = f"validation is {100 * lost:.0f} points below its best, and {share}"
        return Diagnosis("getting worse", evidence, "let γ fall over the run, or raise τ")
    if late >= NOISY:
        return Diagnosis("noise floor", share, "let γ fall over the run, or raise τ")
    before, after = flips[:-1], flips[1:]
    sudden = gamma[:-1] * (1 + 1e-6) >= SUDDEN * gamma[1:]  # a record's γ is rounded to float32
    cut = np.flatnonzero(sudden & (before >= NOISY) & (before >= SUDDEN * after))
    if len(cut):
        epoch = int(cut[0])
        evidence = (
            f"flips went from {percent(before[epoch])} to {percent(after[epoch])} of the weights "
            f"a step when γ dropped after epoch {epoch + 1}"
        )
        return Diagnosis("γ dropped too early", evidence, "let γ fall over the whole run")
    moved = np.flatnonzero(flips > 0)
    if late < QUIET and (fit[-window:].mean() < FITTED or not len(moved)):
        if not len(moved):
            since = "nothing ever flipped"
        elif moved[-1] + 1 < len(flips):
            since = f"nothing has flipped since epoch {moved[-1] + 1}"
        else:
            since = f"only {share}"
        evidence = f"{since}, with training at {100 * fit[-window:].mean():.0f} %"
        change = "raise γ" if threshold == 0 else "lower τ, or raise γ"
        return Diagnosis("too few flips", evidence, change, alarm=not len(moved))
    if fit[-window:].mean() < POOR:
        evidence = f"{share}, and training stays at {100 * fit[-window:].mean():.0f} %"
        return Diagnosis(
            "γ and τ too high", evidence, "lower γ" if threshold == 0 else "lower both"
        )
    return Diagnosis("healthy", f"{share}, and nothing else stands out", "")


def percent(share: float) -> str:
    """Write a share in percent, to two digits.

    Example:
        >>> percent(0.042), percent(0.000061), percent(0.0)
        ('4.2 %', '0.0061 %', '0 %')
    """
    return f"{100 * share:.2g} %".replace("1e+02", "100") if share >= 1e-6 else "0 %"


def warn(rows: Sequence[Mapping[str, float]], optimizer, gamma: float | None = None) -> str | None:
    """Say what is wrong with the last epoch when that begins, and not again in every epoch.

    `warn` diagnoses the epoch as if the run had no other, and reports only what one epoch can show.
    It also knows a symptom that the curves of `diagnose` do not contain: most weights flipped in a
    single step.

    Args:
        rows: the epochs' rows in the record so far, at least one.
        optimizer: the run's. A `bopkit.FlipOptimizer` says how large its signal is; the method is
            called only if there is something to say, and never for latent weights.
        gamma: γ of the run's first step; None if the method has none.

    Returns:
        One line with the numbers and the likely cause, or None.
    """
    row, found = rows[-1], _of_epoch(rows[-1])
    if not found.alarm or (len(rows) > 1 and _is_same(found, _of_epoch(rows[-2]))):
        return None
    # A row holds γ after the epoch's last step, which is the γ of the next epoch.
    gamma = rows[-2]["gamma"] if len(rows) > 1 else gamma
    if row["threshold"] is None:  # latent weights, which may leak
        return _warn_of_latent_weights(row, found.name, gamma)
    epoch, threshold = row["epoch"], f"the threshold {row['threshold']:.2g}"
    signal = optimizer.signal_name
    if found.name == "one step turned most weights":
        lower = "" if gamma is None else f"a gamma below {gamma:.2g} or "
        return _turned(row, f"{lower}a threshold above {row['threshold']:.2g}")
    largest = max(optimizer.largest_signals().values())
    if found.name == "everything flips":
        low = f"too low for {signal} up to {largest:.1e}"
        if gamma is None:
            return _many(row, f"{threshold} is {low}")
        return _many(row, f"gamma {gamma:.2g} is too high, or {threshold} {low}")
    nothing = f"no binary weight flipped in epoch {epoch}"
    if largest == 0:
        return f"{nothing}: all their gradients are zero, so nothing of the loss reaches them."
    if largest <= row["threshold"]:
        return (
            f"{nothing}: {threshold} is above the largest {signal} "
            f"({largest:.1e}); try one well below that, such as {largest / 10:.0e}."
        )
    higher = ""
    if gamma is not None:
        higher = f"; if that is too early, keep gamma, now {gamma:.2g}, higher for longer"
    return (
        f"{nothing}, though the largest {signal} ({largest:.1e}) is above {threshold}: one very "
        f"large gradient dominates the averages, or the weights have settled{higher}."
    )


def _of_epoch(row) -> Diagnosis:
    # A drop of γ takes two epochs to show.
    return _first_symptom(*([row[key]] for key in _CURVES), [1.0], most=row["max_flip_ratio"])


def _is_same(one, other):
    return (one.name, one.alarm) == (other.name, other.alarm)


def _warn_of_latent_weights(row, symptom, gamma):
    # γ moves latent weights that leak; the learning rate is that of the other weights.
    name, value = "learning rate", row["learning_rate"]
    if gamma is not None:
        name, value = "gamma", gamma
    rate = f"the {name} {value:.2g}"
    if symptom == "everything flips":
        return _many(row, f"{rate} is too high")
    if symptom == "one step turned most weights":
        return _turned(row, f"a {name} below {value:.2g}")
    return (
        f"no latent weight changed its sign in epoch {row['epoch']}: {rate} is too low, or the "
        "weights have settled."
    )


def _many(row, cause):
    return (
        f"{row['flip_ratio']:.0%} of the binary weights flipped in a step of epoch {row['epoch']}, "
        f"on average: that is noise, not learning; {cause}."
    )


def _turned(row, cure):
    return (
        f"{row['max_flip_ratio']:.0%} of the binary weights flipped in a single step of epoch "
        f"{row['epoch']}: random signs would flip about half of them, so one gradient was far "
        "larger than the others, or every gradient has the wrong sign; check the loss and its "
        f"gradient, and then try {cure}."
    )


def warn_before(precision: str, hardware: Mapping[str, object]) -> str | None:
    """Say what the machine is not made for, before a run.

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
            "this CPU does not compute in bfloat16 but converts to float32 and back, which "
            "can take longer than float32: use precision=float32."
        )
    return None
