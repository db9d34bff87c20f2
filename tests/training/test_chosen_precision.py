"""In which numbers a run computes that nobody asked: by its CPU, its network, and how it began."""

import contextlib
import json
from pathlib import Path

import pytest
import tensorflow as tf

import bopkit
from bopkit import experiments, records
from bopkit.errors import ConfigError, TrainingError
from bopkit.training import build, sweep, variations

ROOT = Path(__file__).resolve().parents[2]
BOP = experiments.get("binarynet/bop")
TINY = {"epochs": 1, "filters": 16, "dense_units": 16, "batch_size": 50}


def on_a_cpu(monkeypatch, *instructions, onednn=True):
    """Pretend that this CPU has these instructions for bfloat16."""
    told = records.hardware() | {"bfloat16": list(instructions)}
    monkeypatch.setattr(records, "hardware", lambda: told)
    monkeypatch.setattr(build, "forward_is_fastest", lambda: not onednn)


def choose(hparams=(), name="binarynet/bop", **how):
    return build.choose_precision(experiments.override(experiments.get(name), dict(hparams)), **how)


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_the_papers_experiments_compute_in_bfloat16_where_the_cpu_does(name, monkeypatch):
    for instructions in (["avx512_bf16"], ["avx512_bf16", "amx_bf16"]):
        on_a_cpu(monkeypatch, *instructions)
        assert choose(name=name) == "mixed_bfloat16"
    on_a_cpu(monkeypatch)
    assert choose(name=name) == "float32"


def test_nothing_is_chosen_that_was_not_measured_to_be_faster(monkeypatch):
    on_a_cpu(monkeypatch, "avx512_bf16")
    assert choose() == "mixed_bfloat16"
    assert choose(workers=2) == "float32"
    assert choose(compiled=True) == "float32"
    assert choose({"precision": "float32"}) == "float32"
    on_a_cpu(monkeypatch, "avx512_bf16", onednn=False)
    assert choose() == "float32"
    on_a_cpu(monkeypatch)
    assert choose({"precision": "mixed_bfloat16"}) == "mixed_bfloat16"
    on_a_cpu(monkeypatch, "avx512_bf16")
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    assert choose() == "float32"


def test_the_choice_is_the_faster_one_in_the_committed_measurements(monkeypatch, require):
    sections = json.loads((ROOT / "results" / "benchmarks.json").read_text())["sections"]
    found = sections.get("precision", {}).get("ratios")
    require(found, "`make bench SECTIONS=precision` measures it, on a CPU that has bfloat16")
    on_a_cpu(monkeypatch, "avx512_bf16")
    for name, figure in found.items():
        network, size, _ = name.split(", ")
        faster = "mixed_bfloat16" if figure["median"] > 1 else "float32"
        if network == "BinaryNet":
            assert choose({"filters": int(size.split()[0])}) == faster, name
        else:
            assert choose(name=f"{network}/bop") == faster, name


def test_the_runs_of_a_sweep_compute_alike(monkeypatch, tmp_path):
    on_a_cpu(monkeypatch, "avx512_bf16")
    small = experiments.override(BOP, TINY | {"filters": 8})
    lines = []

    def precisions(widths, folder=tmp_path / "none", scheduler=None):
        with monkeypatch.context() as patch:
            started = []

            @contextlib.contextmanager
            def nobody(*_):
                yield lambda calls: started.extend(words["experiment"] for *_, words in calls) or ()

            patch.setattr(sweep, "_backend", nobody)
            with pytest.raises(TrainingError):  # nobody trained them
                sweep.sweep(
                    variations.vary(small, {"filters": widths}),
                    output_dir=folder,
                    scheduler=scheduler,
                    retries=0,
                    report=lines.append,
                )
        return {experiment.precision for experiment in started}

    assert precisions([16, 32]) == {"mixed_bfloat16"} and "set precision=float32" in lines[0]
    assert precisions([16, 24]) == {"float32"}
    assert precisions([16, 32], scheduler="tcp://127.0.0.1:1") == {"float32"}
    run_in_bfloat16 = {"config": {"precision": "mixed_bfloat16"}}
    monkeypatch.setattr(records, "read", lambda folder: run_in_bfloat16)
    lines.clear()
    assert precisions([16, 24], scheduler="tcp://127.0.0.1:1") == {"mixed_bfloat16"}
    assert "as this sweep began" in lines[0] and "set precision" not in lines[0]


def test_a_repeated_sweep_keeps_a_given_precision_apart_from_the_chosen_one(monkeypatch, tmp_path):
    on_a_cpu(monkeypatch, "avx512_bf16")
    tiny = experiments.override(BOP, TINY)
    given = experiments.override(tiny, {"precision": "float32"})
    runs = {"given": (given, 0), "open": (tiny, 0)}
    settings = {"output_dir": tmp_path, "jobs": 1, "report": lambda line: None}
    settings["dataset"] = "digits"
    first = sweep.sweep(runs, **settings, train_examples=200)
    assert [r["config"]["precision"] for r in first] == ["float32", "mixed_bfloat16"]
    assert sweep.sweep(runs, **settings, train_examples=200) == first


def test_a_run_says_what_it_chose_and_resumes_in_it_on_any_cpu(monkeypatch, tmp_path, capsys):
    on_a_cpu(monkeypatch, "avx512_bf16")
    first = bopkit.train("binarynet/bop", output_dir=tmp_path, hparams=TINY, train_examples=200)
    out = capsys.readouterr().out
    assert out.count("set precision=float32") == 1
    assert first["config"]["precision"] == "mixed_bfloat16"
    assert "precision=mixed_bfloat16" in first["command"]
    longer = TINY | {"epochs": 2}
    on_a_cpu(monkeypatch)  # the folder has moved to another machine
    second = bopkit.train("binarynet/bop", output_dir=tmp_path, hparams=longer, train_examples=200)
    out = capsys.readouterr().out
    assert "as this run began" in out and "faster" not in out and "warning" not in out
    assert second["config"]["precision"] == "mixed_bfloat16"
    assert second["epochs"][0] == first["epochs"][0] and len(second["epochs"]) == 2
    with pytest.raises(ConfigError, match="precision mixed_bfloat16 there, float32"):
        bopkit.train(
            "binarynet/bop",
            output_dir=tmp_path,
            hparams=longer | {"precision": "float32"},
            train_examples=200,
        )


def test_a_narrow_network_stays_in_float32_and_nothing_is_said(monkeypatch, tmp_path, capsys):
    on_a_cpu(monkeypatch, "avx512_bf16")
    record = bopkit.train(
        "binarynet/bop", output_dir=tmp_path, hparams=TINY | {"filters": 8}, train_examples=200
    )
    assert record["config"]["precision"] == "float32"
    assert "precision" not in capsys.readouterr().out
    assert "precision=float32" in record["command"]


def test_a_record_that_was_tampered_with_is_refused_by_name(monkeypatch, tmp_path):
    on_a_cpu(monkeypatch)
    options = {"output_dir": tmp_path, "hparams": TINY | {"filters": 8}, "train_examples": 200}
    bopkit.train("binarynet/bop", progress=False, **options)
    path = tmp_path / records.FILE_NAME
    for value in (5, ["x"], "float16"):
        record = json.loads(path.read_text())
        record["config"]["precision"] = value
        path.write_text(json.dumps(record))
        with pytest.raises(ConfigError, match="another configuration"):
            bopkit.train("binarynet/bop", progress=False, **options)
