"""Promises of score strategies."""

import time
import tracemalloc

import numpy as np

from al_plugin.checks import pools
from al_plugin.checks.calls import described, inputs, outcome, raw
from al_plugin.checks.result import check, require
from al_plugin.strategies.registry import Strategy

_CHUNK = 7
_LARGE = {"N": 20_000, "C": 10, "D": 16}
_TIMES_INPUT = 6
_SECONDS = 20.0


def _has_classes(strategy: Strategy) -> bool:
    return any("C" in pools.axes(name) for name in strategy.signals)


def _predicts(strategy: Strategy) -> bool:
    return strategy.card.certain and any(name.endswith("log_probs") for name in strategy.signals)


@check("score")
def result_form(strategy: Strategy) -> None:
    """The result is a new array of floats, one finite or -inf score per sample."""
    given = inputs(strategy)
    result = raw(strategy, given)
    shape = (len(given.ids),)
    good = isinstance(result, np.ndarray) and np.issubdtype(result.dtype, np.floating) and result.shape == shape
    require(good, f"returned {described(result)}, asked for floats of shape {shape}")
    outcome(strategy, given)


@check("score")
def row_order(strategy: Strategy) -> None:
    """Scores move with their samples: the order of the pool does not matter."""
    given = inputs(strategy)
    rows = np.random.default_rng(5).permutation(len(given.ids))
    # Twins tell a leak of the position apart from a score that merely resembles it.
    for one in (given, pools.copied(given, np.arange(len(rows)) // 2)):
        require(
            np.array_equal(outcome(strategy, one)[rows], outcome(strategy, pools.reordered(one, rows))),
            "scores of the same samples in another order are others",
        )


@check("score", when=_has_classes)
def class_order(strategy: Strategy) -> None:
    """Renumbering the classes changes no score (up to rounding)."""
    given = inputs(strategy)
    for order in (np.arange(pools.SIZES["C"])[::-1], np.roll(np.arange(pools.SIZES["C"]), 1)):
        there = outcome(strategy, pools.relabelled(given, order))
        gap = float(np.max(np.abs(outcome(strategy, given) - there)))
        require(gap <= 1e-9, f"with the classes renumbered scores differ by {gap:.1e}")


@check("score")
def chunks_agree(strategy: Strategy) -> None:
    """A sample's score does not depend on the other samples: chunk by chunk is as good as whole."""
    given = inputs(strategy)
    rows = np.arange(len(given.ids))
    chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    pieces = np.concatenate([outcome(strategy, pools.reordered(given, chunk)) for chunk in chunks])
    require(np.array_equal(pieces, outcome(strategy, given)), "scores of chunks differ from those of the whole pool")


@check("score", when=_predicts)
def certain_lowest(strategy: Strategy) -> None:
    """A prediction that leaves no doubt scores lowest, whichever class it is for."""
    given = inputs(strategy)
    sure = np.arange(pools.SIZES["C"])
    scores = outcome(strategy, pools.sure_rows(given, sure))
    require(np.ptp(scores[sure]) == 0, "certain predictions of different classes score differently")
    require(scores[sure].max() < scores[len(sure) :].min(), "a doubtful prediction scores no higher than a certain one")


@check("score", when=lambda strategy: _predicts(strategy) and "log_probs" in strategy.signals)
def saturation_resolved(strategy: Strategy) -> None:
    """Predictions of 1 - 1e-6, 1 - 1e-9 and 1 - 1e-12 still have different scores, in that order."""
    given = inputs(strategy)
    doubts = (1e-6, 1e-9, 1e-12, 0.0)
    for row, doubt in enumerate(doubts):
        given = pools.sure_rows(given, np.array([row]), np.log1p(-doubt))
    ladder = outcome(strategy, given)[: len(doubts)]
    require(np.all(np.diff(ladder) < 0), f"nearly certain predictions score {', '.join(map(str, ladder))}")


@check("score", when=lambda strategy: "sample_keys" not in strategy.signals)
def copies_score_alike(strategy: Strategy) -> None:
    """Identical samples have identical scores."""
    given = inputs(strategy)
    scores = outcome(strategy, pools.copied(given, np.zeros(len(given.ids), dtype=np.int64)))
    require(np.ptp(scores) == 0, "copies of one sample score differently")


@check("score")
def small_pools(strategy: Strategy) -> None:
    """One or two samples, two classes, one feature, no label: no crash, one score per sample."""
    for sizes in ({"N": 1}, {"N": 2}, {"C": 2}, {"D": 1}, {"N": 1, "L": 0}):
        given = inputs(strategy, sizes=sizes)
        scores = outcome(strategy, given)
        require(scores.shape == given.ids.shape, f"{len(scores)} scores for {len(given.ids)} samples ({sizes})")


@check("score", when=_has_classes)
def single_class(strategy: Strategy) -> None:
    """Where one class has all the probability no score is NaN (a campaign has two classes at least)."""
    given = inputs(strategy)
    signals = {
        name: np.where(np.arange(values.shape[-1]) == 0, 0.0, -np.inf) + np.zeros(values.shape)
        if name.endswith("log_probs")
        else values
        for name, values in given.signals.items()
    }
    outcome(strategy, pools.Case(given.ids, signals))


@check("score")
def bounded_memory(strategy: Strategy) -> None:
    """20 000 samples take less than six times the input's memory, and seconds."""
    given = inputs(strategy, sizes=_LARGE)
    size = sum(values.nbytes for values in given.signals.values() if isinstance(values, np.ndarray))
    started = time.process_time()
    outcome(strategy, given)
    seconds = time.process_time() - started
    require(seconds < _SECONDS, f"took {seconds:.0f} s for {_LARGE['N']} samples")
    tracemalloc.start()
    try:
        outcome(strategy, given)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    require(peak < _TIMES_INPUT * size, f"peak {peak / size:.1f} times the input of {size / 2**20:.1f} MiB")
