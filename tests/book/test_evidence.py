"""The pages of the reproduction show the committed records, and say so where there are none."""

import json

import pytest

from bopkit.book import RESULTS, contest, evidence, section51, width


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty folder of results, and a way to put runs into it."""
    monkeypatch.setattr(evidence, "RESULTS", tmp_path)
    some = json.loads(
        next((RESULTS / "cifar10" / "tuning").glob("latent-0.03-0.0001/run.json")).read_text()
    )

    def add(*parts, **changes):
        folder = tmp_path.joinpath(*parts)
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(some | changes))

    add.config, add.epochs, add.final = (some[key] for key in ("config", "epochs", "final"))
    return add


@pytest.mark.usefixtures("results")
def test_where_no_run_is_complete_a_sentence_says_so():
    shown = [
        section51.curves("gamma"),
        evidence.section52(),
        evidence.section52_curves(),
        evidence.table52(),
        evidence.section53_curves(),
        evidence.section53_table(),
        width.curves(),
        width.table(),
        width.finding(),
    ]
    assert {display.data for display in shown} == {
        "Too few runs of this section are complete to compare them."
    }


def test_without_the_repository_a_sentence_says_how_to_get_the_records(monkeypatch, tmp_path):
    """The notebook then continues, and trains."""
    monkeypatch.setattr(evidence, "RESULTS", tmp_path / "nowhere")
    shown = [
        section51.curves("gamma"),
        evidence.section52(),
        evidence.finding52(),
        evidence.precision_table(),
        evidence.section53_table(),
    ]
    for display in shown:
        assert display.data.endswith("pip install -e '.[book]'.")


def test_complete_runs_are_drawn_once_two_rules_can_be_compared(results):
    results("cifar10", "section52", "a")
    results("cifar10", "section52", "b", status="running", final=None)
    assert len(evidence.collect("cifar10", "section52")) == 1
    assert "Too few" in evidence.section52().data
    results("cifar10", "section52", "c", experiment="binarynet/leaking")
    for figure in (evidence.section52(), evidence.section52_curves()):
        assert "latent weights with Adam" in figure.description
        assert "leaking latent weights" in figure.description


def test_a_record_of_another_experiment_changes_nothing(results):
    """CONTRIBUTING.md invites records, also of rules and networks that the pages do not compare."""
    results("cifar10", "section52", "a")
    results("cifar10", "section52", "b", experiment="binarynet/bop")
    results("imagenet", "a", config=results.config | {"image_size": 64, "network": "birealnet"})

    def shown():
        figures = (evidence.section52(), evidence.section52_curves())
        texts = (
            evidence.finding52(), evidence.table52(), evidence.settled52(),
            evidence.section53_table(),
        )  # fmt: skip
        trials = contest.trials_table(evidence.collect("cifar10", "section52"))
        return [f.description for f in figures], [text.data for text in texts], trials

    before = shown()
    results("cifar10", "section52", "c", experiment="binarynet/votes")
    results("imagenet", "b", config=results.config | {"network": "mine"})
    assert shown() == before


def test_each_network_on_photographs_has_its_panel_and_its_rows(results):
    photograph = {"image_size": 64, "network": "birealnet"}
    top_5 = {"val_top_5_accuracy": 0.875, "val_accuracy": 0.5}
    for seed in (0, 1):
        changes = {
            "experiment": "birealnet/default",
            "seed": seed,
            "config": results.config | photograph | {"seed": seed},
            "epochs": [row | top_5 for row in results.epochs],
            "final": results.final | top_5,
        }
        results("imagenet", f"birealnet-default-seed{seed}", **changes)
    *_, row = evidence.section53_table().data.splitlines()
    assert row == ("| Bi-Real Net | latent weights, Adam | 64x64 | 50.00 ± 0.00 | 87.50 ± 0.00 |")
    (axis,) = evidence.section53_curves().axes
    assert axis.get_title(loc="left") == "Bi-Real Net"


def test_the_last_epoch_says_which_rules_have_settled(results):
    results("cifar10", "section52", "a")
    assert "Too few" in evidence.settled52().data
    (run,) = evidence.collect("cifar10", "section52")
    noisy = {"flip_ratio": 0.01, "max_flip_ratio": 0.02}
    changes = {"epochs": [row | noisy for row in run["epochs"]], "final": run["final"] | noisy}
    results("cifar10", "section52", "b", experiment="binarynet/bop", **changes)
    said = evidence.settled52().data
    assert "step flips 1 % of the binary weights under Bop at τ = 0 and " in said
    assert said.endswith("% under latent weights with Adam.")
    rare = noisy | {"flip_ratio": 5.6e-8}  # as the page writes powers of ten, not as Python does
    changes = {"epochs": [row | rare for row in run["epochs"]], "final": run["final"] | rare}
    results("cifar10", "section52", "c", experiment="binarynet/bop_sec52", **changes)
    assert "5.6×10⁻⁶ % under Bop by the paper's schedule" in evidence.settled52().data


def test_the_finding_needs_two_rules_and_says_where_seeds_are_missing(results):
    results("cifar10", "section52", "a")
    assert "Too few" in evidence.finding52().data
    results("cifar10", "section52", "b", experiment="binarynet/bop")
    assert "**not decided**, because too few seeds" in evidence.finding52().data


def test_the_finding_is_open_if_it_depends_on_the_epochs(results):
    def write(name, seed, experiment, ends):
        rows = [
            results.epochs[0] | {"epoch": n + 1, "val_accuracy": end + seed / 1000}
            for n, end in enumerate(ends)
        ]
        config = results.config | {"seed": seed, "epochs": len(rows)}
        final = {key: rows[-1][key] for key in results.final}
        more = {"seed": seed, "config": config, "epochs": rows, "final": final}
        results("cifar10", "section52", f"{name}{seed}", experiment=experiment, **more)

    for seed in range(3):
        write("a", seed, "binarynet/default", [0.5] * 9 + [0.7])
        write("b", seed, "binarynet/bop_sec52", [0.6 + seed / 100] * 10)
    said = evidence.finding52().data
    assert "is **open**. Bop is 9.00 ± " in said and " points behind in the last epoch" in said
    assert "ahead in the mean of the last ten epochs." in said


@pytest.mark.parametrize("points", [-5, 5])
def test_the_finding_says_how_it_stands_to_the_papers(results, points):
    for seed in range(3):
        numbered = {"seed": seed, "config": results.config | {"seed": seed}}
        results("cifar10", "section52", f"a{seed}", **numbered)
        (run, *_) = evidence.collect("cifar10", "section52")
        shift = (points + seed / 10) / 100
        final = run["final"] | {"val_accuracy": run["final"]["val_accuracy"] + shift}
        rows = [*run["epochs"][:-1], run["epochs"][-1] | {"val_accuracy": final["val_accuracy"]}]
        changes = {"experiment": "binarynet/bop", "final": final, "epochs": rows}
        results("cifar10", "section52", f"b{seed}", **numbered, **changes)
    said = evidence.finding52().data
    assert ("**behind** latent weights" in said) == (points < 0)
    assert ("**ahead of** latent weights" in said) == (points > 0)
    assert "91.3 % for Bop by its schedule" in said and "neither confirm nor refute" in said


def test_the_table_has_the_last_epoch_and_the_mean_of_the_last_ten(results):
    """The second score is computed from the epochs, and the verdict is the first score's."""
    for seed in range(3):
        for name, last, before in (("default", 0.8, 0.5), ("bop", 0.7, 0.6 + seed / 100)):
            row = results.epochs[-1]
            tops = [before] * 9 + [last]
            rows = [{**row, "epoch": n, "val_accuracy": t} for n, t in enumerate(tops, 1)]
            results(
                "cifar10",
                "section52",
                f"{name}{seed}",
                experiment=f"binarynet/{name}",
                seed=seed,
                config=results.config | {"seed": seed, "epochs": 10},
                epochs=rows,
                final={key: rows[-1].get(key) for key in results.final},
            )
    _, _, latent, bop, *_ = evidence.table52().data.splitlines()
    assert latent.endswith("| 3 | **80.00** | ± 0.00 | – | 53.00 | – |")
    assert "| behind | 3 | 70.00 |" in bop
    assert bop.endswith("| -10.00 ± 0.00 | 61.90 | +8.90 ± 2.24 |")


def put_precisions(results, differences):
    """Three runs in bfloat16, and three in float32 that end this many points higher."""
    for seed, points in enumerate(differences):
        for part, shift in (("section52", 0), ("precision", points / 100)):
            rows = [
                {**row, "epoch": number, "val_accuracy": row["val_accuracy"] + shift}
                for number, row in enumerate(results.epochs * 3, 1)
            ]
            results(
                "cifar10",
                part,
                f"seed{seed}",
                experiment="binarynet/bop",
                seed=seed,
                config=results.config | {"seed": seed, "epochs": len(rows)},
                epochs=rows,
                final={key: rows[-1].get(key) for key in results.final},
            )


def test_the_mean_of_the_last_epochs_is_of_those_alone():
    rows = [{"val_accuracy": share} for share in (0.1, 0.5, 0.7)]
    assert evidence.last_epochs([{"seed": 3, "epochs": rows}], 2) == {3: pytest.approx(60)}
    assert evidence.last_epochs([{"seed": 3, "epochs": rows[:1]}], 2) == {3: pytest.approx(10)}
    assert evidence.last_epochs([{"seed": 3, "epochs": rows}], 1) == {3: pytest.approx(70)}


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ((2.0, 2.1, 2.2), "float32 is **ahead of** bfloat16 (+2.10 ± 0.25 points over 3 seeds)"),
        ((-2.0, -2.1, -2.2), "bfloat16 is **ahead of** float32 (-2.10 ± 0.25 points"),
        ((-0.1, 0.0, 0.1), "excludes a loss of more than 0.25 points"),
    ],
)
def test_what_bfloat16_costs_follows_from_the_interval(results, differences, verdict):
    assert "not yet known" in evidence.precision_finding().data
    assert "Too few" in evidence.precision_table().data
    put_precisions(results, differences)
    assert verdict in evidence.precision_finding().data
    assert evidence.precision_table().data.count(f"{sum(differences) / 3:+.2f} ± ") == 2


def put_widths(results, tops):
    """Complete runs by (filters, experiment, seed), each with one top-1 in all its epochs."""
    for (filters, experiment, seed), top_1 in tops.items():
        config = {"filters": filters, "seed": seed, "epochs": len(results.epochs)}
        results(
            "cifar10",
            "width",
            f"{experiment.partition('/')[2]}_{filters}_seed{seed}",
            experiment=experiment,
            seed=seed,
            config=results.config | config,
            epochs=[row | {"val_accuracy": top_1} for row in results.epochs],
            final=results.final | {"val_accuracy": top_1},
        )


def test_widths_are_compared_by_seed_and_one_pair_has_no_interval(results):
    bop, latent = "binarynet/bop_sec52", "binarynet/default"
    narrow = {(32, bop, seed): 0.70 + seed / 100 for seed in range(3)}
    narrow |= {(32, latent, seed): 0.72 for seed in range(3)}
    put_widths(results, narrow | {(128, bop, 0): 0.85})
    *_, first, _, third, _ = width.table().data.splitlines()
    assert first == (
        "| 32 | last epoch | 71.00 (70.00, 71.00, 72.00) | 72.00 (72.00, 72.00, 72.00) | "
        "-1.00 ± 2.48 |"
    )
    assert third == "| 128 | last epoch | 85.00 | – | – |"  # no run of latent weights yet
    assert "128 filters yet, so we do not know" in width.finding().data
    put_widths(results, {(128, latent, 0): 0.88})
    assert "yet" not in (finding := width.finding().data)
    assert "ends at **85.0 %** with 128 filters and at **70.0 %** with 32." in finding
    assert finding.count("With seed 0, ") == 2  # each rule; seeds 1 and 2 were not trained at 128
    assert "| 128 | last epoch | 85.00 | 88.00 | -3.00 |" in width.table().data
    said = width.curves().description
    assert "Bop, 128 filters 85.0 % top-1" in said
    assert "latent weights, 32 filters 72.0 % top-1" in said


def put_sweep(results, settings, seeds):
    rates = {"method": "bop", "epochs": 20}
    for gamma, threshold in settings:
        for seed in seeds:
            config = results.config | rates | {"gamma": gamma, "threshold": threshold, "seed": seed}
            row = results.epochs[0] | {"flip_ratio": gamma}
            rows = [row | {"epoch": epoch} for epoch in range(1, 21)]
            final = {key: rows[-1][key] for key in results.final}
            results(
                *("cifar10", "section51", f"{gamma}-{threshold}-{seed}"),
                experiment="binarynet/bop", config=config, seed=seed, epochs=rows, final=final,
            )  # fmt: skip


def test_a_sweep_of_section_51_is_drawn_once_every_value_has_a_run(results):
    put_sweep(results, [(1e-2, 1e-6), (1e-3, 1e-6)], [0])
    assert "Too few runs" in section51.curves("gamma").data
    put_sweep(results, [(1e-4, 1e-6)], [0])
    figure = section51.curves("gamma")
    assert figure.get_suptitle().startswith("CIFAR-10 (a JPEG copy)")
    assert "γ = 10⁻⁴" in figure.description
    assert "Too few runs" in section51.curves("threshold").data


def test_the_claims_of_section_51_are_counted(results):
    gammas = [(1e-2, 1e-6), (1e-3, 1e-6), (1e-4, 1e-6)]
    put_sweep(results, gammas, [0, 1])
    said = section51.finding().data
    assert said.startswith(
        "Of the paper's 9 claims, 9 are not decided. 6 of the protocol's 15 runs"
    )
    put_sweep(results, gammas, [2])
    said = section51.finding().data
    assert "1 holds and 8 are not decided. 9 of the protocol's 15 runs are complete." in said
    assert "| A higher γ flips more weights | **holds** |" in section51.table().data
    put_sweep(results, [(1e-3, 0.0), (1e-3, 1e-5)], [0, 1, 2])
    assert section51.finding().data.endswith("are not decided.")
