"""Every shipped strategy keeps every promise that concerns it."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import wraps

import numpy as np
import pytest

from al_plugin.checks import check_strategy, checks_for, pools, run_check
from al_plugin.signals import SIGNALS, check_signal
from al_plugin.strategies import registry

SHIPPED = [(stage, name) for stage in registry.STAGES for name in registry.shipped(stage)]
PAIRS = [
    pytest.param(stage, name, one, id=f"{stage}.{name}-{one.name}")
    for stage, name in SHIPPED
    for one in checks_for(registry.load(stage, name))
]


@pytest.mark.parametrize(("stage", "name", "one"), PAIRS)
def test_promise_kept(stage, name, one):
    """Each shipped strategy keeps each promise that concerns it, or declares with a reason that it does not."""
    result = run_check(registry.load(stage, name), one)
    assert result.ok, f"{one.promise} Found: {result.message}"


def test_every_check_has_a_sentence():
    """A check is documented by the promise it checks."""
    checks = {one for stage, name in SHIPPED for one in checks_for(registry.load(stage, name))}
    assert [one.name for one in checks if not one.promise.endswith(".")] == []


def test_every_stage_is_checked():
    """Names of checks are unique within a strategy, and no stage goes with a few."""
    for stage, name in SHIPPED:
        names = [one.name for one in checks_for(registry.load(stage, name))]
        assert len(names) == len(set(names)) >= 10, (stage, name)


def strategy_with(**declared):
    margin = registry.load("score", "margin")
    return replace(margin, card=replace(margin.card, expected_failures=declared))


def pool_dependent():
    """A score that needs the whole pool and says so."""
    margin = registry.load("score", "margin")

    def ranked(log_probs):
        scores = margin.function(log_probs)
        return scores / max(abs(scores).max(), 1e-9)

    ranked.__doc__ = margin.function.__doc__
    return ranked


def test_declared_failure_is_ok():
    """A broken promise that the card declares counts as ok and shows the reason and what was found."""
    declared = replace(strategy_with(chunks_agree="scores depend on the whole pool"), function=pool_dependent())
    result = next(one for one in check_strategy(declared) if one.check == "chunks_agree")
    assert (result.ok, result.expected) == (True, "scores depend on the whole pool")
    assert "chunks differ" in result.message


def test_declared_failure_can_be_shown_as_failure():
    """With skip_expected=False the declared failure is reported as one."""
    declared = replace(strategy_with(chunks_agree="scores depend on the whole pool"), function=pool_dependent())
    failed = [one.check for one in check_strategy(declared, skip_expected=False) if not one.ok]
    assert failed == ["chunks_agree"]


def test_declared_failure_that_passes_is_a_failure():
    """Like a strict xfail: a promise that is kept may not be declared as broken."""
    failed = [one for one in check_strategy(strategy_with(chunks_agree="no longer true")) if not one.ok]
    assert [(one.check, one.expected) for one in failed] == [("chunks_agree", "no longer true")]
    assert "expected_failures" in failed[0].message


def test_declared_failure_of_no_check_is_a_failure():
    """A declaration that names no check of this strategy is a failure."""
    failed = [one.check for one in check_strategy(strategy_with(greedy_prefix="for select only")) if not one.ok]
    assert failed == ["greedy_prefix"]


@pytest.mark.parametrize("name", [name for name, signal in SIGNALS.items() if signal.source not in ("votes", "task")])
def test_every_signal_can_be_made_up(name):
    """The suite has valid values of every signal that the table knows, of its axes and finite."""
    made = pools.case([name])
    check_signal(name, made.signals[name], made.ids, {})


def test_made_up_signals_do_not_depend_on_each_other():
    """Asking for one signal more changes no other."""
    alone, together = pools.case(["log_probs"]), pools.case(["embeddings", "log_probs", "scores"])
    assert (alone.signals["log_probs"] == together.signals["log_probs"]).all()


DIGEST = """
from hashlib import sha256
from al_plugin.checks.calls import inputs, outcome
from al_plugin.strategies import registry
for stage in ("merge", "score", "select"):
    for name in registry.shipped(stage):
        strategy = registry.load(stage, name)
        print(stage, name, sha256(outcome(strategy, inputs(strategy)).tobytes()).hexdigest())
"""


def test_same_result_in_another_process():
    """Scores, picks and weights are the same bytes whatever PYTHONHASHSEED is."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert next(iter(outputs)).count("\n") == sum(stage != "train" for stage, _ in SHIPPED)


@pytest.mark.parametrize("name", ["entropy", "least_confidence", "margin"])
def test_no_score_is_minus_zero(name):
    """A certain or an undecided prediction scores 0.0 or -1.0, never -0.0, which tables show as "-0.00"."""
    log_probs = np.array([[0.0, -np.inf, -np.inf], [np.log(0.5), np.log(0.5), -np.inf]])
    scores = registry.load("score", name).function(log_probs)
    assert not (np.signbit(scores) & (scores == 0)).any()


def test_wrapped_strategy_is_handed_n_and_rng():
    """A strategy wrapped by a decorator keeps its signature: n and rng reach it."""
    top = registry.load("select", "top")

    @wraps(top.function)
    def wrapped(*args, **kwargs):
        return top.function(*args, **kwargs)

    assert [one.message for one in check_strategy(registry.describe("select", wrapped)) if not one.ok] == []
