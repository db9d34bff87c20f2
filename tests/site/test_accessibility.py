"""axe-core finds nothing serious in what we wrote, in light and in dark, wide and on a phone."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"

# The article is ours; what stands around it is the theme's.
RUN = """async () => {
    const found = await axe.run('.bd-article', {resultTypes: ['violations']});
    return found.violations
        .filter(violation => ['serious', 'critical'].includes(violation.impact))
        .map(violation => [violation.id, violation.nodes.slice(0, 3).map(node => node.html)]);
}"""


@pytest.fixture(scope="session")
def axe(require) -> str:
    require(AXE.is_file(), "axe-core is not installed; run tools/assets.sh")
    return AXE.read_text(encoding="utf8")


def test_nothing_serious_at_a_desk_in_light(served, axe):
    served.page.evaluate(axe)
    assert served.page.evaluate(RUN) == []


def test_nothing_serious_on_a_phone_in_dark(served, axe):
    served.page.evaluate(axe)
    with served.as_on_a_dark_phone():
        found = served.page.evaluate(RUN)
    assert found == []
