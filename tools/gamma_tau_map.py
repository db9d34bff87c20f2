"""Writes bopkit/pictures/gamma_tau_map.py: the 128 runs of the picture of γ and τ, trained anew.

    python tools/gamma_tau_map.py

Needed when the small network (`bopkit.book.toy`), the rule, or the picture's sliders change.
"""

from pathlib import Path

from bopkit.book.pictures import gamma_tau as picture

HEAD = '''"""What the runs of the picture of γ and τ end at: a map of them costs no training.

Top-1 in percent on the held-out digits, averaged over the last three epochs: a table for each
course of γ, a row for each τ and a column for each γ, in the sliders' order. Written by
tools/gamma_tau_map.py; tests/book/pictures/test_gamma_tau.py trains them all and compares.
"""

FINAL = {
'''


def table(schedule: str) -> str:
    """The rows of one course of γ, as Python."""
    rows = (
        ", ".join(f"{picture.final_accuracy(g, t, schedule):.2f}" for g in picture.GAMMAS)
        for t in picture.THRESHOLDS
    )
    return "".join(f"        ({row}),\n" for row in rows)


if __name__ == "__main__":
    path = Path(__file__).resolve().parents[1] / "bopkit" / "book" / "pictures" / "gamma_tau_map.py"
    courses = (picture.CONSTANT, picture.FALLING)
    body = "".join(f'    "{course}": (\n{table(course)}    ),\n' for course in courses)
    path.write_text(f"{HEAD}{body}}}\n", encoding="utf8")
