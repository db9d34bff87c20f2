"""The tool that packs a JPEG copy of CIFAR-10: labels, planes and a fixed order."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOOL = Path(__file__).resolve().parents[2] / "tools" / "pack_cifar10_jpegs.py"


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("pack_cifar10_jpegs", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_row_is_the_label_and_three_planes_in_a_fixed_order(tool, tmp_path):
    for label, name in enumerate(tool.CLASSES):
        (tmp_path / name).mkdir()
        for number in range(2):
            pixels = np.zeros((32, 32, 3), np.uint8)
            pixels[..., number] = 20 * (label + 1)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.jpg", quality=100)
    rows = tool.records(tmp_path, np.random.default_rng(0))
    order = np.random.default_rng(0).permutation(20)
    assert list(rows[:, 0]) == [place // 2 for place in order]
    planes = rows[:, 1:].reshape(20, 3, 32 * 32).mean(axis=2)
    assert list(planes.argmax(axis=1)) == [place % 2 for place in order]
    assert planes.max(axis=1) == pytest.approx(20 * (rows[:, 0] + 1.0), abs=3)


def test_too_few_images_are_counted_in_one_line(tool, tmp_path):
    with pytest.raises(SystemExit, match=r"should hold 50,000 .* found 0 and 0\.$"):
        tool.main(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
