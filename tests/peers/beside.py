"""Ours and theirs for the tests of this folder."""

import sys
from pathlib import Path

import numpy as np
import pytest

from al_plugin.errors import StrategyError
from al_plugin.rounds.select import run_select
from al_plugin.strategies import registry

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from peer_items import shims  # noqa: E402 - found through the line above

__all__ = ["ROOT", "dirichlet", "logs", "needs", "pick", "score", "shims"]


def needs(library):
    """Skip the test where the library is not there."""
    if not shims.installed(library):
        pytest.skip(f"{library} is not installed; `make oracles` installs it")


def logs(probs):
    """log p with log 0 = -inf."""
    with np.errstate(divide="ignore"):
        return np.log(probs)


def dirichlet(*shape, classes=4, seed=0, concentration=0.7):
    """Random probabilities (..., C)."""
    return np.random.default_rng(seed).dirichlet(np.full(classes, concentration), size=shape)


def strategy(stage, name):
    """A shipped strategy, or skip while there is none of that name."""
    try:
        return registry.load(stage, name)
    except StrategyError:
        pytest.skip(f"{stage} strategy {name} is not shipped")


def score(name, signals, **knobs):
    """Our scores from the signals the strategy asks for."""
    found = strategy("score", name)
    return found.function(*(signals[signal] for signal in found.signals), **knobs)


def pick(name, signals, n, seed=0, **knobs):
    """Our picks from the signals the strategy asks for."""
    return run_select(strategy("select", name), signals, n, np.random.default_rng(seed), knobs).tolist()
