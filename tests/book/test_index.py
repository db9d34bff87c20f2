"""What the first page says of the runs on CIFAR-10, computed from their records."""

from pathlib import Path

from bopkit.book import comparison, evidence

INDEX = Path(__file__).resolve().parents[2] / "book" / "index.md"
LATENT, ZERO, PAPER = (f"binarynet/{name}" for name in ("default", "bop", "bop_sec52"))


def test_the_page_says_how_far_latent_weights_are_ahead():
    page = " ".join(INDEX.read_text(encoding="utf8").split())
    scores, _ = evidence.scores52()

    def ahead(other, comparisons):
        return comparison.compare(scores[LATENT], scores[other], comparisons)

    of = {other: ahead(other, len(scores) - 1) for other in (ZERO, PAPER)}
    assert of[ZERO].verdict == "ahead" and of[PAPER].verdict == "not decided"
    assert ahead(PAPER, 1).verdict == "ahead"  # before the correction
    assert f"end {of[ZERO].mean:.1f} points ahead of Bop at τ = 0." in page
    assert f"end {of[PAPER].mean:.1f} points ahead of Bop by the paper's schedule, but" in page
