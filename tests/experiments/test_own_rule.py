"""A new rule takes a file of NumPy, a file of Keras and a row, and everything else follows.

The package is copied, the rule is added to the copy as CONTRIBUTING.md says, and one process with
the copy first on its path does with the rule what a user would.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bopkit

CONTRIBUTING = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"

RULE = '''
"""Votes in NumPy: Bop whose gradients count as votes."""

import numpy as np

from bopkit.rules.bop import bop_step


def check_scale(scale, name="scale"):
    """Refuse a scale that is not above 0."""
    if not scale > 0:
        raise ValueError(f"{name} must be above 0; got {scale!r}.")


def votes_step(weights, momentum, gradient, *, threshold, gamma, scale):
    """Update once."""
    check_scale(scale)
    return bop_step(weights, momentum, np.tanh(gradient / scale), threshold=threshold, gamma=gamma)
'''

OPTIMIZER = '''
"""Votes as a Keras optimizer."""

from bopkit._tensorflow import tf
from bopkit.optimizers.base import FlipOptimizer
from bopkit.optimizers.hyper import Hyper
from bopkit.rules import ranges, votes


@tf.keras.utils.register_keras_serializable("bopkit")
class Votes(FlipOptimizer):
    """Flip a weight when most of its recent gradients ask for it."""

    gamma = Hyper(ranges.check_gamma)
    scale = Hyper(votes.check_scale)

    def __init__(self, fp_optimizer, threshold=0.2, gamma=0.01, scale=1.0, **kwargs):
        hypers = {"threshold": threshold, "gamma": gamma, "scale": scale}
        super().__init__(fp_optimizer, **hypers, **kwargs)

    def update_averages(self, averages, gradient, now):
        m = averages["m"]
        return {"m": m + now["gamma"] * (tf.tanh(gradient / now["scale"]) - m)}

    def signal(self, averages, now):
        return averages["m"]
'''

USE = """
import json, sys
import numpy as np
import bopkit
from bopkit import experiments, records
from bopkit.errors import ConfigError
from bopkit.records import tables
from bopkit.rules.votes import votes_step

folder = sys.argv[1]
found = {"module": bopkit.__file__}
rates = {"threshold": 0.2, "gamma": 0.1, "scale": 1e-3}
votes = experiments.Experiment(
    name="binarynet/votes", network="binarynet", method="votes", dataset="cifar10", epochs=1,
    batch_size=100, learning_rate=1e-2, filters=8, dense_units=32, **rates,
)

def refusal(experiment, **values):
    try:
        experiments.override(experiment, values)
    except ConfigError as error:
        return str(error)

found["refusals"] = [
    refusal(experiments.get("binarynet/bop"), scale=0.1),
    refusal(experiments.get("binarynet/default"), scale_end=0.1),
    refusal(votes, sigma=0.1),
    refusal(votes, scale=-1),
    refusal(votes, scal=0.1),
]
record = bopkit.train(
    experiments.override(votes, {"scale_end": "2e-3"}), dataset="digits", output_dir=folder,
    tensorboard=False, progress=False,
)
found["record"] = records.read(folder)
found["same"] = found["record"] == json.loads(json.dumps(record))
found["table"] = tables.rows(records.collect(folder))
images = np.ones((2, 16, 16, 1), np.float32)
found["predicted"] = bopkit.load_run(folder).predict(images, verbose=0).shape
weights = np.ones(3)
found["twin"] = votes_step(weights, 0 * weights, np.array([1.0, -1.0, 0.0]), **rates | {"gamma": 1})
print(json.dumps(found, default=np.ndarray.tolist))
"""


def row():
    """The row that CONTRIBUTING.md prints, with the rate of the rule's own that it names."""
    text = CONTRIBUTING.read_text(encoding="utf8")
    method = re.search(r'^ +(Method\("votes".*\),\n)', text, re.MULTILINE)[1]
    rate = re.search(r'`(Rate\("scale".*?\))`', text)[1]
    assert method.count("THRESHOLD)") == 1
    return " " * 8 + method.replace("THRESHOLD)", f"THRESHOLD, {rate})")


def insert(path, before, text):
    source = path.read_text(encoding="utf8")
    assert source.count(before) == 1
    path.write_text(source.replace(before, text + before), encoding="utf8")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own_rule")
    package = folder / "bopkit"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(bopkit.__file__).parent, package, ignore=ignore)
    (package / "rules" / "votes.py").write_text(RULE.lstrip(), encoding="utf8")
    (package / "optimizers" / "votes.py").write_text(OPTIMIZER.lstrip(), encoding="utf8")
    methods = package / "experiments" / "methods.py"
    insert(methods, "from bopkit.rules import ranges\n", "from bopkit.rules import votes\n")
    insert(methods, '        Method(\n            "latent",', row())
    done = subprocess.run(
        [sys.executable, "-c", USE, folder / "run"],
        env=os.environ | {"PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["module"]).parent == package
    return found


def test_a_run_leaves_a_record_with_the_rules_own_rate(found):
    record = found["record"]
    assert found["same"] and record["status"] == "completed"
    assert record["config"]["method"] == "votes"
    assert (record["config"]["scale"], record["config"]["scale_end"]) == (1e-3, 2e-3)
    (row,) = record["epochs"]
    # Linear over the epoch: 14 steps of 1,437 images, of which the last is at 13 of 14.
    assert row["scale"] == pytest.approx(2e-3, rel=0.05)
    assert row["threshold"] == pytest.approx(0.2) and row["gamma"] == pytest.approx(0.1)
    assert row["flip_ratio"] > 0
    assert "scale=0.001" in record["command"]


def test_tables_and_files_take_the_rule(found):
    (row,) = found["table"]
    assert row["experiment"] == "binarynet/votes" and row["s"] == "0.001 → 0.002"
    assert row["σ"] == "–"
    assert found["predicted"] == [2, 10]
    assert found["twin"][0] == [-1, 1, 1]


def test_no_other_method_has_the_rules_rate_and_the_rule_has_no_other_methods(found):
    bop, latent, sigma, out_of_range, misspelt = found["refusals"]
    assert "trains by bop, which has no scale; votes has it" in bop
    assert "trains by latent, which has no scale_end; votes has it" in latent
    assert "trains by votes, which has no sigma; bop2ndorder has it" in sigma
    assert out_of_range == "scale must be above 0; got -1.0."
    assert "did you mean scale?" in misspelt
