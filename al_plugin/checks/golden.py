"""Compare a strategy with expected results that something else has computed.

A golden file is JSON: ``strategy`` is ``<stage>.<name>``, ``cases`` a list of pools with what must
come out. The contract cannot see a wrong constant or another base of the logarithm; this does.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from al_plugin.checks.pools import axes
from al_plugin.rounds.consensus import run_merge
from al_plugin.rounds.score import run_score
from al_plugin.rounds.select import run_select
from al_plugin.strategies.registry import Strategy

_ROUNDING = 1e-15
_INTEGERS = frozenset(
    {"labels", "dropped_labels", "annotations", "vote_samples", "vote_labels", "vote_annotators", "vote_order"}
)


def mismatches(strategy: Strategy, golden: Mapping[str, Any]) -> list[str]:
    """What differs, one line per case; empty where everything agrees.

    A case holds ``name``, ``signals``, where wanted ``knobs``, ``n`` and ``seeds``, and ``expected``:
    ``scores`` (with ``tolerance``, relative; 0 for equality), ``weights``, ``picks`` (the same for every seed), or
    ``inclusions`` (z: the greatest deviation of any candidate's count from n / N, in standard errors).
    """
    found = []
    for one in golden["cases"]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                message = _compared(strategy, one)
            except Exception as error:  # noqa: BLE001 - a strategy may raise anything
                message = f"{type(error).__name__}: {error}"
        if message:
            found.append(f"{golden['strategy']}, {one['name']}: {message}")
    return found


def arrays(signals: Mapping[str, Any]) -> dict[str, Any]:
    """Signals from their JSON form: nested lists, "-inf" for minus infinity, {"empty": shape}."""
    return {name: _array(name, values) for name, values in signals.items()}


def _array(name: str, values: Any) -> Any:
    if not axes(name):
        return values
    dtype: Any = np.int64 if name in _INTEGERS else np.uint64 if name == "sample_keys" else np.float64
    if isinstance(values, Mapping):
        return np.empty(values["empty"], dtype=dtype)
    return np.array(values, dtype=dtype)


def _compared(strategy: Strategy, one: Mapping[str, Any]) -> str:
    signals, knobs, expected = arrays(one["signals"]), one.get("knobs", {}), one["expected"]
    if "scores" in expected:
        wanted = np.array(expected["scores"], dtype=np.float64)
        return _differ(run_score(strategy, signals, knobs), wanted, expected["tolerance"])
    if "weights" in expected:
        return _differ(run_merge(strategy, signals, knobs), np.array(expected["weights"], dtype=np.float64), 1e-12)
    batches = [_picks(strategy, signals, one["n"], seed, knobs) for seed in _seeds(one)]
    if "picks" in expected:
        wrong = [(seed, batch) for seed, batch in zip(_seeds(one), batches, strict=True) if batch != expected["picks"]]
        return f"picks {wrong[0][1]} (seed {wrong[0][0]}), expected {expected['picks']}" if wrong else ""
    return _uneven(batches, len(next(iter(signals.values()))), expected["inclusions"])


def _seeds(one: Mapping[str, Any]) -> Sequence[int]:
    seeds = one.get("seeds", [0])
    return range(seeds) if isinstance(seeds, int) else seeds


def _picks(strategy: Strategy, signals: Mapping[str, Any], n: int, seed: int, knobs: Mapping[str, Any]) -> list[int]:
    picks: list[int] = run_select(strategy, signals, n, np.random.default_rng(seed), knobs).tolist()
    return picks


def _differ(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> str:
    if found.shape != wanted.shape:
        return f"shape {found.shape}, expected {wanted.shape}"
    # Equal infinities give NaN here, which the comparison counts as no difference.
    with np.errstate(invalid="ignore"):
        off = np.abs(found - wanted) > tolerance * np.abs(wanted) + (_ROUNDING if tolerance else 0.0)
    off |= np.isinf(found) != np.isinf(wanted)
    if not off.any():
        return ""
    first = tuple(int(index) for index in np.argwhere(off)[0])
    return f"{int(off.sum())} values differ, first at {first}: {found[first]!r}, expected {wanted[first]!r}"


def _uneven(batches: list[list[int]], total: int, z: float) -> str:
    counts = np.bincount(np.concatenate(batches), minlength=total)
    share = len(batches[0]) / total
    error = np.sqrt(len(batches) * share * (1 - share))
    worst = float(np.max(np.abs(counts - len(batches) * share)) / error)
    return f"inclusion counts deviate by {worst:.1f} standard errors" if worst > z else ""
