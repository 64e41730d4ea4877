"""The reference page of strategies is written from their registrations."""

from pathlib import Path

from al_plugin.checks.page import page
from al_plugin.strategies import registry

COMMITTED = Path(__file__).parents[2] / "docs" / "strategies.md"


def test_committed_page_is_current():
    """docs/strategies.md equals the generated text."""
    current = COMMITTED.read_text(encoding="utf-8") == page()
    assert current, "run: python -m al_plugin.checks.page > docs/strategies.md"


def test_page_names_everything():
    """Each shipped strategy with its docstring and reference, and each of its knobs."""
    text = page()
    for stage in registry.STAGES:
        for name in registry.shipped(stage):
            strategy = registry.load(stage, name)
            assert f'<a id="{stage}-{name}"></a>' in text
            assert strategy.function.__doc__.split("\n")[0] in text
            assert strategy.card.reference in text
            assert all(f"| `{knob}` |" in text for knob in strategy.knobs)
