"""The example is run as a reader runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "train.py"


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
