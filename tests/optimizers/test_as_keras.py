"""Where Keras' Adam works, a flip rule works: every row of `keras_rows`, with four optimizers."""

import contextlib
import json
from pathlib import Path

import pytest
import tensorflow as tf
from keras_rows import MIRRORED, ROWS, Case

CASES = ("Adam", "Bop", "Bop2ndOrder", "own rule")

# Two devices for the row that trains on replicas; too late if this process has used TensorFlow.
with contextlib.suppress(RuntimeError):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("title", ROWS)
def test_row(title, name, tmp_path):
    if title == MIRRORED and len(tf.config.list_logical_devices("CPU")) < 2:
        pytest.skip("another file of this process has used TensorFlow with one device")
    ROWS[title](Case(name), tmp_path)


def test_the_page_shows_every_row():
    page = Path(__file__).resolve().parents[2] / "book" / "practice" / "keras.ipynb"
    cells = json.loads(page.read_text(encoding="utf8"))["cells"]
    text = "".join(line for cell in cells for line in cell["source"])
    shown = {line[2 : -len(" | ✓ |")] for line in text.splitlines() if line.endswith(" | ✓ |")}
    assert shown == set(ROWS)
