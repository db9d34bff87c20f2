"""A contest between rules: the table, the sentence and the chart say the same."""

import itertools

import numpy as np
import pytest

from bopkit import models, rules
from bopkit._tensorflow import tf
from bopkit.book import comparison, contest, digits_contest, toy


def by_seed(values):
    return dict(enumerate(values))


def run(experiment, seed, accuracy, status="completed"):
    epochs = [{"val_accuracy": 0.1}, {"val_accuracy": accuracy}]
    final = {"val_accuracy": accuracy}
    return {"experiment": experiment, "seed": seed, "status": status, "epochs": epochs,
            "config": {"method": "bop"}, "final": final}  # fmt: skip


def test_scores_are_the_last_epochs_of_complete_runs():
    runs = [
        run("binarynet/bop", 0, 0.91),
        run("binarynet/bop", 1, 0.9, "running"),
        run("binarynet/default", 0, 0.9),
    ]
    found = contest.scores(runs)
    assert list(found) == ["binarynet/default", "binarynet/bop"]
    assert found["binarynet/bop"] == {0: pytest.approx(91)}


ABOUT = {
    "binarynet/bop": by_seed([91.0, 92.0, 93.0]),
    "binarynet/default": by_seed([90.0, 91.1, 91.9]),
    "binarynet/leaking": {0: 90.0},
}


def test_table_sentence_and_chart_say_the_same():
    table = contest.markdown_table(ABOUT).splitlines()
    assert table[2] == "| **Bop at τ = 0** | ahead | 3 | **92.00** | ± 2.48 | +1.00 ± 0.25 |"
    assert "| leaking latent weights | not decided | 1 | 90.00 | – | – |" in table
    said = contest.sentence(ABOUT, "binarynet/default", "binarynet/bop")
    assert said == (
        "Latent weights with Adam are **behind** Bop at τ = 0 (-1.00 ± 0.25 points over 3 seeds)."
    )
    assert "missing" in contest.sentence(ABOUT, "binarynet/bop", "binarynet/bop2ndorder")
    assert contest.sentence(ABOUT, "binarynet/bop", "binarynet/leaking") == (
        "Bop at τ = 0 reached 92.0 % (3 seeds), and leaking latent weights 90.0 % (1 seed). This "
        "comparison is **not decided**, because too few seeds are complete."
    )
    two = {"binarynet/bop": by_seed([90.0, 92.0]), "binarynet/default": by_seed([91.0, 92.0])}
    assert contest.sentence(two, "binarynet/bop", "binarynet/default") == (
        "Between Bop at τ = 0 and latent weights with Adam the comparison is **not decided** (the "
        "first less the second: -0.50 ± 6.35 points over 2 seeds, and 3 are needed)."
    )
    figure = contest.chart({"One": ABOUT, "Two": {}})
    assert "Bop at τ = 0 92.0 %" in figure.description
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == ["Bop at τ = 0", "latent weights with Adam", "leaking latent weights"]
    dots = [line.get_xdata() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert sorted(np.concatenate(dots)) == sorted(v for s in ABOUT.values() for v in s.values())


def test_a_second_score_has_columns_of_its_own_and_decides_nothing():
    second = {name: {s: v - 10 for s, v in by_seed.items()} for name, by_seed in ABOUT.items()}
    second["binarynet/bop"] = by_seed([70.0, 70.0, 70.0])
    plain = contest.markdown_table(ABOUT).splitlines()
    table = contest.markdown_table(ABOUT, beside=("last ten", second)).splitlines()
    assert table[0].endswith("| top-1 %, last ten | difference, last ten |")
    assert table[2] == f"{plain[2]} 70.00 | -11.00 ± 2.37 |"
    assert [row[: len(line)] for row, line in zip(table, plain, strict=True)] == plain
    assert table[4] == f"{plain[4]} 80.00 | – |"  # one seed has no difference


def test_verdicts_that_hold_together_are_fewer():
    found = {name: ABOUT[name] for name in ("binarynet/bop", "binarynet/default")}
    assert contest.together(found) == ""  # one comparison needs no correction
    found["binarynet/leaking"] = by_seed([91.0, 91.7, 92.4])
    alone = comparison.compare(found["binarynet/leaking"], found["binarynet/default"])
    assert alone.verdict == "ahead"
    said = contest.together(found)
    assert said.startswith("The table makes 2 comparisons with latent weights with Adam")
    assert "*ahead* for Bop at τ = 0 (+1.00 ± 0.36), and *not decided* for leaking" in said
    found["binarynet/bop2ndorder"] = {0: 99.0}  # with one seed there is no difference to show
    assert "*not decided* for Bop2ndOrder" in contest.together(found)


def test_on_the_digits_no_rate_is_chosen_at_the_edge_of_the_grid_unless_it_can_be_no_larger():
    for name in digits_contest.CONTENDERS:
        rate, _ = digits_contest.choose(name)
        is_adam = name == "binarynet/default"  # a step of 1 crosses the whole range of the clip
        assert digits_contest.RATES[0] < rate < digits_contest.RATES[-1] or is_adam, name
    assert not set(digits_contest.SEEDS) & set(digits_contest.TRIAL_SEEDS)


def test_the_trials_on_the_digits_are_those_of_the_code():
    """One of each rule: the stored mean of twelve seeds, to within an image or two of rounding."""
    found = digits_contest.trials()
    assert list(found) == [n for n in digits_contest.CONTENDERS if n != "binarynet/leaking"]
    for name, pairs in found.items():
        _, seconds = digits_contest.CONTENDERS[name]
        assert list(pairs) == list(itertools.product(digits_contest.RATES, seconds))
        pair = digits_contest.choose(name)
        again = [digits_contest.score(name, *pair, s, True) for s in digits_contest.TRIAL_SEEDS]
        assert np.mean(again) == pytest.approx(pairs[pair], abs=0.2), name


def test_in_the_last_epoch_a_rate_stands_at_the_share_that_was_chosen():
    last = digits_contest.EPOCHS - 1
    assert digits_contest.bop_without_threshold(0.3, 1e-2).gamma[[0, -1]] == pytest.approx(
        [0.3, 3e-3]
    )
    # Adam's step is its learning rate while the gradient is constant.
    optimizer = digits_contest.latent(0.1, 1e-2)
    weights, gradient = np.ones((4, 4), np.float32), np.ones((4, 4), np.float32)
    before = optimizer.step(0, weights, gradient, last), optimizer.kept[0][0]
    optimizer.step(0, weights, gradient, last)
    assert before[1] - optimizer.kept[0][0] == pytest.approx(1e-3, rel=1e-3)


def test_leaking_latent_weights_and_bop_at_zero_make_the_same_flips_up_to_rounding():
    kept = {}
    for name in ("binarynet/leaking", "binarynet/bop"):
        seen = kept[name] = []
        optimizer = digits_contest.CONTENDERS[name][0](0.1, 1e-3)
        toy.train(optimizer, epochs=15, watch=lambda _, weights, seen=seen: seen.append(weights))
    differ = [
        sum(np.sum(a != b) for a, b in zip(ours, theirs, strict=True))
        for ours, theirs in zip(*kept.values(), strict=True)
    ]
    # Of 4,736 weights. One flip that is rounded the other way leads to others.
    assert differ[0] == 0 and max(differ) < 100, differ


def test_a_seed_gives_adams_latent_weights_other_first_signs_than_all_flip_rules():
    """In Keras; on the digits all rules begin at the same signs."""
    signs = {}
    for method in ("bop", "leaking", "latent"):
        tf.keras.utils.set_random_seed(0)
        network = models.binarynet((16, 16, 1), 10, method=method, filters=16, dense_units=16)
        kernels = [v.numpy() for v in network.trainable_variables if "kernel" in v.name]
        signs[method] = np.concatenate([rules.sign(kernel).ravel() for kernel in kernels])
    assert np.array_equal(signs["bop"], signs["leaking"])
    assert np.mean(signs["bop"] == signs["latent"]) == pytest.approx(0.5, abs=0.02)


def test_latent_weights_begin_at_the_networks_first_weights():
    start = toy.start_weights()
    optimizer = digits_contest.latent(1e-9, 1.0)
    for layer, weights in enumerate(start):
        moved = optimizer.step(layer, weights, np.ones_like(weights), 0)
        assert np.array_equal(moved, weights) and np.array_equal(moved, rules.sign(moved))


def test_the_best_trial_of_each_rule_is_bold():
    runs = [run("binarynet/bop", 0, accuracy) for accuracy in (0.6, 0.8, 0.7)]
    runs.append(run("binarynet/default", 0, 0.75))
    for record, gamma in zip(runs, (1e-2, 1e-3, 1e-4, None), strict=True):
        record["config"]["gamma"] = gamma
    lines = contest.trials_table(runs).splitlines()[2:]
    assert [line.split(" | ")[-1] for line in lines] == [
        "**80.00** |", "70.00 |", "60.00 |", "**75.00** |",
    ]  # fmt: skip
    assert lines[0].startswith("| Bop at τ = 0 | 0.001 | – |")
    assert len(contest.trials_table(runs, best=True).splitlines()) == 4
