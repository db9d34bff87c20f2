"""Write bopkit/book/pictures/gamma_tau_map.py: train the picture's 128 settings, five seeds each.

    python tools/gamma_tau_map.py

Needed when the small network (`bopkit.book.toy`), the rule, or the picture's sliders change.
"""

from pathlib import Path

from bopkit.book.pictures import gamma_tau as picture

HEAD = '''"""What the runs of the picture of γ and τ gave, so that the page trains nothing.

Each setting has two lines of twelve numbers, one per epoch: top-1 on the held-out digits in
percent, and the binary weights that flip per step. Both are means over the seeds 0 to 4. The
settings are in the order of the sliders, the last of which moves fastest. tools/gamma_tau_map.py
writes this file, and tests/book/pictures/test_gamma_tau.py trains the settings again and compares.
"""

RUNS = """\\
'''


def lines(gamma: float, threshold: float, schedule: str) -> str:
    """One setting as text."""
    course = picture.train(gamma, threshold, schedule)
    rows = (f"{value:.1f}" for value in course.accuracy), (f"{value:.4g}" for value in course.flips)
    return "".join(" ".join(row) + "\n" for row in rows)


if __name__ == "__main__":
    path = Path(__file__).resolve().parents[1] / "bopkit" / "book" / "pictures" / "gamma_tau_map.py"
    body = "".join(lines(**values) for values in picture.SCENE.grid())
    path.write_text(f'{HEAD}{body}"""\n', encoding="utf8")
