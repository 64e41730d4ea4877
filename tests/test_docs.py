"""What the documents show runs, what they name exists."""

import re
from pathlib import Path

import pytest
from conftest import ROOT, al, stage

from al_plugin import layout
from al_plugin.cli.main import COMMANDS

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_exist(document: Path) -> None:
    """Every `al WORD` in a document is a command."""
    for word in re.findall(r"(?:^|[`|\s])al ([a-z]+(?:-[a-z]+)*)", document.read_text(), flags=re.MULTILINE):
        assert word in COMMANDS, word


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_path_of_a_machine(document: Path) -> None:
    assert not re.search(r"(?<![\w.])/(?:root|home|tmp|work)/", document.read_text())


def test_decisions_are_short() -> None:
    for path in (ROOT / "docs/decisions").glob("*.md"):
        assert len(path.read_text().splitlines()) <= 30, path


def test_the_own_strategy_of_the_documentation_passes_its_contract(
    first_round: Path, capsys: pytest.CaptureFixture
) -> None:
    """The example of docs/extending.md, saved as told, checked, and used in a round."""
    text = (ROOT / "docs/extending.md").read_text()
    code = text.split("<!-- tested: strategy -->", 1)[1].split("```python\n", 1)[1].split("```", 1)[0]
    Path("my_strategies.py").write_text(code)
    assert al("check", "score.my_strategies:cautious_margin") == 0, capsys.readouterr()
    assert "checks hold" in capsys.readouterr().out
    params = Path(layout.PARAMS).read_text()
    setting = 'score:\n  strategy: "my_strategies:cautious_margin"\n  "my_strategies:cautious_margin": {floor: 0.9}'
    Path(layout.PARAMS).write_text(params.replace("score:\n  strategy: null", setting))
    al("oracle")
    for name in ("merge_labels", "train", "score", "select_query"):
        assert stage(name) == 0, capsys.readouterr().err


def test_strategies_lists_and_prints_cards(capsys: pytest.CaptureFixture) -> None:
    assert al("strategies") == 0
    listed = capsys.readouterr().out
    for name in ("margin", "typiclust", "kcenter_greedy", "majority", "single", "auto"):
        assert name in listed
    assert al("strategies", "margin") == 0
    card = capsys.readouterr().out
    assert "Scheffer" in card
    assert "signals: log_probs" in card
    assert al("strategies", "margn") == 1
    assert "did you mean 'margin'?" in capsys.readouterr().err


def test_help_needs_no_campaign(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        al("--help")
    assert stop.value.code == 0
    said = capsys.readouterr().out
    for name in COMMANDS:
        assert name in said
