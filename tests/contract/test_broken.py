"""The suite is tested by what it must catch: deliberately broken strategies, and correct ones it must pass."""

import importlib
import json
from functools import cache
from pathlib import Path

import pytest
from broken.impersonate import CONTROLS, FAULTS, GOLDEN

from al_plugin.checks import check_strategy, checks_for
from al_plugin.checks.golden import mismatches

HERE = Path(__file__).parent
for module in sorted((HERE / "broken").glob("*.py")):
    importlib.import_module(f"broken.{module.stem}")


@cache
def golden(stage, name):
    path = HERE.parent / "golden" / f"{stage}.{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


@cache
def caught_by(title):
    """Names of the checks that a strategy fails; ``golden`` among them if it differs from the golden pool."""
    strategy = next(fault.strategy for fault in (*FAULTS, *CONTROLS) if fault.title == title)
    failed = {one.check for one in check_strategy(strategy) if not one.ok}
    expected = golden(strategy.stage, strategy.name)
    return failed | ({GOLDEN} if expected and mismatches(strategy, expected) else set())


def test_enough_faults():
    """At least 28 faults, in every stage, and at least two controls."""
    assert len(FAULTS) >= 28
    assert {fault.strategy.stage for fault in FAULTS} == {"merge", "train", "score", "select"}
    assert len(CONTROLS) >= 2


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.title)
def test_fault_is_caught(fault):
    """Each fault is noticed by the checks made for it."""
    caught = caught_by(fault.title)
    print(f"{fault.title}: {fault.story} Caught by {', '.join(sorted(caught))}")
    assert set(fault.caught_by) <= caught, f"{fault.story} Caught by {sorted(caught)} only"


@pytest.mark.parametrize("control", CONTROLS, ids=lambda fault: fault.title)
def test_control_passes(control):
    """A correct strategy written differently passes everything."""
    assert caught_by(control.title) == set()


def test_faults_are_documented_like_the_original():
    """No fault is caught merely because its docstring or card is worse than that of what it impersonates."""
    caught = [fault.title for fault in FAULTS if "documented" in caught_by(fault.title)]
    assert caught == ["score.entropy-undocumented"]


KEPT_BY_THE_WRAPPER = {"missing_signal_named", "not_finite_refused"}


def test_every_check_catches_something():
    """No check is idle: each fails for some fault, except those that the round's wrapper keeps for everyone."""
    known = {check.name for one in FAULTS for check in checks_for(one.strategy)}
    caught = {name for one in FAULTS for name in caught_by(one.title)}
    assert known - caught == KEPT_BY_THE_WRAPPER
