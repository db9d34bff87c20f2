"""The examples are run as a reader runs them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "train.py"


def test_the_training_loop_learns_while_the_flips_die_out():
    # As in a terminal that knows no Greek letters.
    done = subprocess.run(
        [sys.executable, EXAMPLE],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"flip ratio (\S+)  validation (\S+)%", done.stdout)
    ratios, accuracies = zip(*((float(a), float(b)) for a, b in rows), strict=True)
    assert len(rows) == 20
    assert accuracies[-1] >= 92
    # γ has fallen by a factor of 900; five seeds have divided the flip ratio by 160 and more.
    assert 0 < ratios[-1] < ratios[0] / 50


def test_completed_runs_reach_mlflow(tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="bopkit does not need MLflow")
    record = json.loads((ROOT / "results/fashion_mnist/section52/bop-seed1/run.json").read_text())
    for name, status in (("group/complete", "completed"), ("half", "running")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text(json.dumps(record | {"status": status}))
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "to_mlflow.py", tmp_path],
        env=os.environ | {"MLFLOW_TRACKING_URI": store},
        cwd=tmp_path,  # the files go below it
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("bop").experiment_id])
    assert run.info.run_name == "group/complete" and run.info.status == "FINISHED"
    assert run.data.params["gamma"] == str(record["config"]["gamma"])
    history = client.get_metric_history(run.info.run_id, "val_accuracy")
    assert [m.value for m in history] == [row["val_accuracy"] for row in record["epochs"]]
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["run.json"]
