"""Claims about γ and τ on made-up runs whose verdict is known."""

import math

import pytest

from bopkit.book import claims

EPOCHS = 20
# By (γ, τ): flip ratio, training accuracy of epoch 1, and what the test accuracy does: its values
# in the four quarters of the run, and how far it jumps up and down.
PAPER = {
    (1e-2, 1e-6): (1e-1, 0.70, (0.70, 0.70, 0.70, 0.70), 0.10),
    (1e-3, 1e-6): (1e-2, 0.60, (0.60, 0.70, 0.80, 0.80), 0.02),
    (1e-4, 1e-6): (1e-3, 0.50, (0.50, 0.60, 0.80, 0.90), 0.00),
    (1e-3, 0.0): (5e-1, 0.70, (0.70, 0.65, 0.60, 0.50), 0.10),
    (1e-3, 1e-5): (1e-4, 0.40, (0.60, 0.80, 0.90, 0.90), 0.00),
}


def run(setting, seed, curve, shift=0.0, epochs=EPOCHS):
    flips, start, quarters, jump = curve
    rows = [
        {
            "accuracy": start + shift,
            "val_accuracy": quarters[4 * i // epochs] + jump * (-1) ** i / 2 + shift,
            "flip_ratio": flips * math.exp(10 * shift),
        }
        for i in range(epochs)
    ]
    gamma, threshold = setting
    return {"config": {"gamma": gamma, "threshold": threshold}, "seed": seed, "epochs": rows}


def runs(curves, shifts=(0.0, 0.01, -0.01), epochs=EPOCHS):
    """Each curve once for every seed; a seed shifts all the curves alike, as pairs allow."""
    return [
        run(setting, seed, curve, shift, epochs)
        for setting, curve in curves.items()
        for seed, shift in enumerate(shifts)
    ]


def verdicts(records):
    return [claim.verdict for claim in claims.check(records)]


def test_the_papers_curves_hold_though_its_seeds_differ():
    assert verdicts(runs(PAPER)) == ["holds"] * 9
    table = claims.markdown_table(claims.check(runs(PAPER)))
    assert "| A higher γ flips more weights | **holds** | 0.1 % at 10⁻⁴, 1 % at 0.001" in table
    assert "10 to 10 times, 10 to 10 times" in table


def test_the_opposite_curves_do_not_hold():
    turned = {
        (10 ** -(6 - index), 1e-6): PAPER[key]
        for index, key in enumerate([(1e-2, 1e-6), (1e-3, 1e-6), (1e-4, 1e-6)])
    }
    rising = {(1e-3, 0.0): (1e-4, 0.3, (0.1, 0.2, 0.9, 0.9), 0.0)}
    middle = {(1e-3, 1e-6): (1e-2, 0.6, (0.6, 0.7, 0.8, 0.8), 0.02)}
    assert verdicts(runs(turned))[:4] == ["does not hold"] * 4
    assert verdicts(runs(rising | middle))[4:] == ["does not hold"] * 5


@pytest.mark.parametrize(("seeds", "epochs"), [(1, EPOCHS), (2, EPOCHS), (3, EPOCHS - 1)])
def test_too_few_seeds_or_epochs_decide_nothing(seeds, epochs):
    assert verdicts(runs(PAPER, (0.0, 0.01, -0.01)[:seeds], epochs)) == ["not decided"] * 9


def test_a_sweep_with_one_value_shows_no_numbers():
    """Those of the other sweep would stand there, at another γ."""
    gammas = {key: curve for key, curve in PAPER.items() if key[1] == 1e-6}
    found = claims.check([*runs(gammas), run((1e-2, 1e-6), 3, PAPER[1e-2, 1e-6])])
    assert [claim.evidence for claim in found[4:]] == ["no runs yet"] * 5
    assert all("%" in claim.evidence or "points" in claim.evidence for claim in found[:4])


def test_an_unfinished_sweep_is_found_beside_more_runs_of_the_other():
    """Each γ has as many runs as τ's sweep has, so that the number of runs tells nothing."""
    gammas = {key: curve for key, curve in PAPER.items() if key[1] == 1e-6}
    begun = [run(key, 0, curve) for key, curve in PAPER.items() if key[1] != 1e-6]
    found = claims.check([*runs(gammas), *begun])
    assert [claim.verdict for claim in found[:4]] == ["holds"] * 4
    assert found[4].evidence == "0.01 % at 10⁻⁵, 1 % at 10⁻⁶, 50 % at 0"


def test_a_seed_that_a_setting_lacks_is_no_pair():
    missing = [r for r in runs(PAPER) if (r["config"]["gamma"], r["seed"]) != (1e-4, 2)]
    assert verdicts(missing) == ["not decided"] * 4 + ["holds"] * 5


def test_the_interval_is_students_t_of_the_paired_differences():
    """The differences 1, 2 and 3 points: mean 2, deviation 1, t(2) = 4.303, so 2 ± 2.48."""
    base = (1e-2, 0.50, (0.5, 0.5, 0.5, 0.5), 0.0)
    low = [run((1e-4, 1e-6), seed, base) for seed in range(3)]
    high = [
        run((1e-3, 1e-6), seed, (1e-2, 0.50 + 0.01 * (1 + seed), base[2], 0.0)) for seed in range(3)
    ]
    fastest = claims.check(low + high)[1]
    assert fastest.verdict == "not decided" and fastest.evidence.endswith("+2.00 ± 2.48 points")
    # A fourth seed with 2 points: deviation 0.82, t(3) = 3.182, so 2 ± 1.30.
    low.append(run((1e-4, 1e-6), 3, base))
    high.append(run((1e-3, 1e-6), 3, (1e-2, 0.52, base[2], 0.0)))
    fastest = claims.check(low + high)[1]
    assert fastest.verdict == "holds" and fastest.evidence.endswith("+2.00 ± 1.30 points")
    # Of nine intervals that hold together, each has 1 - 0.05 / 9: t(3) = 7.185, so 2 ± 2.93.
    fastest = claims.check(low + high, comparisons=9)[1]
    assert fastest.verdict == "not decided" and fastest.evidence.endswith("+2.00 ± 2.93 points")


def test_every_pair_of_neighbours_must_flip_more():
    one_alike = PAPER | {(1e-3, 1e-6): (1e-3, *PAPER[1e-3, 1e-6][1:])}
    assert verdicts(runs(one_alike))[0] == "not decided"
    one_less = PAPER | {(1e-3, 1e-6): (1e-4, *PAPER[1e-3, 1e-6][1:])}
    assert verdicts(runs(one_less))[0] == "does not hold"


def test_what_cannot_be_compared_is_not_decided():
    assert verdicts([]) == ["not decided"] * 9
    same = runs(dict.fromkeys(PAPER, PAPER[1e-4, 1e-6]))
    assert verdicts(same)[:8] == ["not decided"] * 8
    still = runs(PAPER | {(1e-4, 1e-6): (0.0, *PAPER[1e-4, 1e-6][1:])})
    assert verdicts(still)[0] == "not decided"
    broken = runs(PAPER)
    for record in broken:
        record["epochs"][-1]["val_accuracy"] = None  # a value that was not finite
    assert verdicts(broken) == ["holds", "holds", "not decided", "not decided"] * 2 + [
        "not decided"
    ]
