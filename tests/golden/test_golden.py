"""Shipped strategies agree with golden pools, whose results were computed by other means."""

import ast
import json
from pathlib import Path

import make
import pytest

from al_plugin.checks.golden import mismatches
from al_plugin.strategies import registry

HERE = Path(__file__).parent
SHIPPED = [f"{stage}.{name}" for stage in ("score", "select", "merge") for name in registry.shipped(stage)]


@pytest.mark.parametrize("name", sorted(make.CASES))
def test_strategy_agrees(name):
    """Scores, picks and weights are those of the closed form or of the exhaustive search."""
    golden = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    assert mismatches(registry.load(*name.split(".")), golden) == []


@pytest.mark.parametrize("name", sorted(make.CASES))
def test_file_is_what_the_oracle_gives(name):
    """The committed file is what make.py writes; run `python tests/golden/make.py` after editing it."""
    assert (HERE / f"{name}.json").read_text(encoding="utf-8") == make.content(name)


def test_every_strategy_has_a_golden_pool():
    """Each shipped strategy has one; a new strategy needs an oracle in tests/golden/oracle_*.py."""
    assert sorted(SHIPPED) == sorted(make.CASES)


@pytest.mark.parametrize("oracle", make.ORACLES)
def test_oracle_is_independent(oracle):
    """An oracle imports nothing of what it is the oracle for, nor the arrays it is built on."""
    tree = ast.parse((HERE / f"{oracle}.py").read_text(encoding="utf-8"))
    plain = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} | set(plain)
    assert {name for name in imported if not name.startswith("oracle_")} <= {
        "decimal",
        "fractions",
        "functools",
        "itertools",
        "math",
    }


def test_a_difference_is_found():
    """The comparison says which case differs and where."""
    name = "score.margin"
    golden = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    golden["cases"][0]["expected"]["scores"][3] += 1e-9
    found = mismatches(registry.load("score", "margin"), golden)
    assert len(found) == 1
    assert "four classes" in found[0]
    assert "(3,)" in found[0]
