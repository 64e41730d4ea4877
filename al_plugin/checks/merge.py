"""Promises of merge strategies: votes in, class weights (S, C) or numbers (S,) out."""

from typing import Any

import numpy as np

from al_plugin.checks import pools
from al_plugin.checks.calls import described, inputs, outcome, raw
from al_plugin.checks.pools import Case
from al_plugin.checks.result import check, require
from al_plugin.strategies.registry import Strategy

_PER_VOTE = ("vote_samples", "vote_labels", "vote_values", "vote_annotators", "vote_order")
_ROUNDING = 1e-9


def _of_classes(strategy: Strategy) -> bool:
    return "vote_values" not in strategy.signals


def _of_numbers(strategy: Strategy) -> bool:
    return not _of_classes(strategy)


def _votes(given: Case, rows: Any) -> Case:
    signals = {name: values[rows] if name in _PER_VOTE else values for name, values in given.signals.items()}
    return Case(given.ids, signals)


def _close(left: np.ndarray, right: np.ndarray) -> bool:
    return bool(np.allclose(left, right, rtol=0.0, atol=_ROUNDING))


@check("merge", when=_of_classes)
def result_form(strategy: Strategy) -> None:
    """The result is a new array of floats, a row per sample and a column per class, even an unused one."""
    given = inputs(strategy)
    labels = np.minimum(given.signals.get("vote_labels", np.zeros(1, dtype=np.int64)), 1)
    for one in (given, pools.with_signal(given, "vote_labels", labels)):
        result = raw(strategy, one)
        shape = (given.signals["n_samples"], given.signals["n_classes"])
        good = isinstance(result, np.ndarray) and np.issubdtype(result.dtype, np.floating) and result.shape == shape
        require(good, f"returned {described(result)}, asked for floats of shape {shape}")


@check("merge", when=_of_numbers)
def one_number_each(strategy: Strategy) -> None:
    """The result is a new array of floats, a number per sample, within the numbers that were given for it."""
    given = inputs(strategy)
    result = raw(strategy, given)
    size = given.signals["n_samples"]
    good = isinstance(result, np.ndarray) and np.issubdtype(result.dtype, np.floating) and result.shape == (size,)
    require(good, f"returned {described(result)}, asked for floats of shape ({size},)")
    for sample in range(size):
        own = given.signals["vote_values"][given.signals["vote_samples"] == sample]
        inside = own.min() - _ROUNDING <= result[sample] <= own.max() + _ROUNDING
        require(inside, f"{result[sample]} lies outside the votes, {own.min()} to {own.max()}")


@check("merge", when=_of_numbers)
def unanimous_number(strategy: Strategy) -> None:
    """Where all votes of a sample are one number, that very number is the result."""
    given = inputs(strategy)
    agreed = 0.1 + np.arange(given.signals["n_samples"]) / 3
    one = pools.with_signal(given, "vote_values", agreed[given.signals["vote_samples"]])
    require(np.array_equal(outcome(strategy, one), agreed), "unanimous numbers are changed")


@check("merge", when=_of_numbers)
def units(strategy: Strategy) -> None:
    """Numbers in another unit, from another zero, give the same result in that unit."""
    given = inputs(strategy)
    other = pools.with_signal(given, "vote_values", 4.0 * given.signals["vote_values"] - 3.0)
    require(_close(outcome(strategy, other), 4.0 * outcome(strategy, given) - 3.0), "another unit changes the result")


@check("merge", when=_of_classes)
def rows_sum_to_one(strategy: Strategy) -> None:
    """Weights are not negative and those of a sample sum to 1."""
    weights = outcome(strategy, inputs(strategy))
    require(weights.min() >= 0, f"a weight is {weights.min()}")
    require(_close(weights.sum(axis=1), np.ones(len(weights))), "the weights of a sample do not sum to 1")


@check("merge")
def row_order(strategy: Strategy) -> None:
    """The order in which votes are listed does not matter."""
    given = inputs(strategy)
    rng = np.random.default_rng(5)
    votes = len(given.signals[strategy.signals[0]]) if strategy.signals[0] in _PER_VOTE else pools.SIZES["V"]
    for rows in (np.arange(votes)[::-1], rng.permutation(votes)):
        there = outcome(strategy, _votes(given, rows))
        require(_close(outcome(strategy, given), there), "votes listed in another order give other weights")


@check("merge", when=_of_classes)
def unanimous_wins(strategy: Strategy) -> None:
    """Where all votes of a sample agree, their class alone has the greatest weight."""
    given = inputs(strategy)
    agreed = np.arange(given.signals["n_samples"]) % given.signals["n_classes"]
    one = pools.with_signal(given, "vote_labels", agreed[given.signals["vote_samples"]])
    weights = outcome(strategy, one)
    rest = weights.copy()
    rest[np.arange(len(agreed)), agreed] = -np.inf
    require((weights[np.arange(len(agreed)), agreed] > rest.max(axis=1)).all(), "a unanimous class does not win")


@check("merge", when=_of_classes)
def class_order(strategy: Strategy) -> None:
    """Renumbering the classes renumbers the columns and nothing else: no tie goes to a class index."""
    given = inputs(strategy)
    order = np.roll(np.arange(pools.SIZES["C"]), 1)
    there = outcome(strategy, pools.relabelled(given, order))
    require(_close(outcome(strategy, given)[:, order], there), "with the classes renumbered the weights are others")


@check("merge")
def sample_order(strategy: Strategy) -> None:
    """Renumbering the samples renumbers the rows and nothing else."""
    given = inputs(strategy)
    order = np.random.default_rng(5).permutation(given.signals["n_samples"])
    renumbered = np.argsort(order)[given.signals["vote_samples"]]
    there = outcome(strategy, pools.with_signal(given, "vote_samples", renumbered))
    require(_close(outcome(strategy, given)[order], there), "with the samples renumbered the weights are others")


@check("merge", when=lambda strategy: "vote_annotators" in strategy.signals)
def annotator_order(strategy: Strategy) -> None:
    """Renumbering the annotators changes nothing."""
    given = inputs(strategy)
    renumbered = np.roll(np.arange(pools.SIZES["A"]), 1)[given.signals["vote_annotators"]]
    there = outcome(strategy, pools.with_signal(given, "vote_annotators", renumbered))
    require(_close(outcome(strategy, given), there), "with the annotators renumbered the weights are others")


@check("merge", when=lambda strategy: "vote_order" in strategy.signals)
def only_order_of_time(strategy: Strategy) -> None:
    """Of the ranks in time only their order matters."""
    given = inputs(strategy)
    stretched = 3 * given.signals["vote_order"] + 5
    there = outcome(strategy, pools.with_signal(given, "vote_order", stretched))
    require(_close(outcome(strategy, given), there), "stretching the ranks in time changes the weights")


@check("merge")
def small_pools(strategy: Strategy) -> None:
    """One vote on one sample, one vote each, two classes, a single class: no crash."""
    for sizes in ({"S": 1, "V": 1}, {"S": 5, "V": 5}, {"C": 2}, {"C": 1}, {"A": 1}):
        outcome(strategy, inputs(strategy, sizes=sizes))
