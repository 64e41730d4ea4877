"""Promises of select strategies."""

import numpy as np

from al_plugin.checks import pools
from al_plugin.checks.calls import (
    PICKS,
    Query,
    alike,
    asked_ids,
    described,
    draws,
    inputs,
    outcome,
    raw,
    selected,
    shuffled,
    world,
)
from al_plugin.checks.result import BrokenPromiseError, check, require
from al_plugin.errors import AlError
from al_plugin.rounds.select import run_select
from al_plugin.strategies.registry import Strategy


def _labeled(strategy: Strategy) -> bool:
    return any("L" in pools.axes(name) for name in strategy.signals)


@check("select")
def result_form(strategy: Strategy) -> None:
    """The result is a new array of n integers."""
    result = raw(strategy, inputs(strategy), n=5)
    good = isinstance(result, np.ndarray) and np.issubdtype(result.dtype, np.integer) and result.shape == (5,)
    require(good, f"returned {described(result)}, asked for 5 integers")


@check("select")
def distinct_in_range(strategy: Strategy) -> None:
    """Asked for 0, 1, some or all candidates it gives exactly as many distinct positions among them."""
    for size in (1, 7, 48):
        given = inputs(strategy, sizes={"N": size})
        for n in {0, 1, size // 3, size}:
            picks = outcome(strategy, given, n=n)
            require(len(set(picks.tolist())) == n, f"asked for {n} of {size}, got {picks}")


@check("select")
def copies_distinct(strategy: Strategy) -> None:
    """A pool of nothing but copies still gives distinct picks, even copies of the labelled samples."""
    given = inputs(strategy)
    size = len(given.ids)
    zeros = np.zeros(size, dtype=np.int64)
    same = pools.copied(given, zeros)
    flat = {name: v if name.endswith("keys") else np.zeros_like(v) for name, v in given.signals.items()}
    for one in (same, pools.Case(given.ids, flat), pools.copied(given, np.arange(size) // 12)):
        for n in (1, size // 2, size):
            outcome(strategy, one, n=n)


@check("select")
def ties_to_first(strategy: Strategy) -> None:
    """Equal candidates: the first in keyed order comes first, or ``rng`` alone decides."""
    given = inputs(strategy)
    size = len(given.ids)
    same = pools.copied(given, np.zeros(size, dtype=np.int64))
    if draws(strategy):
        seeds = range(3)
        again = all(np.array_equal(outcome(strategy, same, seed=s), outcome(strategy, same, seed=s)) for s in seeds)
        require(again, "ties are decided by something else than rng")
        return
    picks = outcome(strategy, same)
    require(np.array_equal(picks, np.arange(len(picks))), f"picked {picks} among copies, asked for the first ones")
    half = size // 2
    ranks = np.argsort(outcome(strategy, pools.copied(given, np.arange(size) % half), n=size))
    require((ranks[:half] < ranks[half:]).all(), "a copy later in keyed order was picked before the earlier one")


@check("select")
def ties_fair(strategy: Strategy) -> None:
    """Among copies each sample is chosen about equally often over many seeds."""
    same = alike(world(strategy), np.zeros(60, dtype=np.int64))
    rounds, n = 120, 9
    counts = dict.fromkeys(same.candidates, 0)
    for seed in range(rounds):
        for sample in asked_ids(strategy, same, Query(n=n, seed=seed)):
            counts[sample] += 1
    expected = rounds * n / len(counts)
    statistic = sum((count - expected) ** 2 for count in counts.values()) / expected
    # Chi-square with 53 degrees of freedom exceeds 110 with probability 1e-5.
    require(statistic < 110, f"chi-square of inclusion counts is {statistic:.0f} for {len(counts)} samples")


@check("select", when=draws)
def rng_decides(strategy: Strategy) -> None:
    """A strategy that is handed a generator uses it: other seeds give other picks."""
    given = inputs(strategy)
    picks = {tuple(outcome(strategy, given, n=5, seed=seed)) for seed in range(12)}
    require(len(picks) > 1, "twelve seeds gave the same picks; take rng only if it is used")


@check("select", when=lambda strategy: strategy.card.greedy)
def greedy_prefix(strategy: Strategy) -> None:
    """The picks for k are the first k picks for n, in acquisition order."""
    given = inputs(strategy)
    longest = outcome(strategy, given, n=20)
    for n in (1, 2, 5, 13):
        shorter = outcome(strategy, given, n=n)
        require(np.array_equal(shorter, longest[:n]), f"{n} picks are {shorter}, of 20 the first are {longest[:n]}")


@check("select")
def row_order(strategy: Strategy) -> None:
    """The query depends on sample ids, not on the order of rows or of pool parts."""
    ordinary = world(strategy)
    size = len(ordinary.pool.ids)
    for given in (ordinary, alike(ordinary, np.arange(size) // 2), alike(ordinary, np.zeros(size, dtype=np.int64))):
        here = asked_ids(strategy, given, Query())
        parts_swapped = np.roll(np.arange(size), 23)
        for rows in (parts_swapped, np.random.default_rng(5).permutation(size)):
            there = asked_ids(strategy, shuffled(given, rows), Query())
            require(here == there, f"in another row order it asks {there}, not {here}")


@check("select", when=lambda strategy: any("C" in pools.axes(name) for name in strategy.signals))
def class_order(strategy: Strategy) -> None:
    """Renumbering the classes changes no pick."""
    given = inputs(strategy)
    order = np.roll(np.arange(pools.SIZES["C"]), 1)
    require(
        np.array_equal(outcome(strategy, given), outcome(strategy, pools.relabelled(given, order))),
        "with the classes renumbered the picks are others",
    )


@check("select")
def batch_above_pool(strategy: Strategy) -> None:
    """A batch larger than the pool asks for all candidates, with a warning; the function is never led on."""
    given = world(strategy)
    answer = selected(strategy, given, Query(n=1000))
    found = [row.sample_id for row in answer.rows]
    require(len(found) == len(set(found)) and set(found) == given.candidates, "the query is not the set of candidates")
    require("1000" in answer.warning and str(len(found)) in answer.warning, f"the warning says {answer.warning!r}")
    small = inputs(strategy, sizes={"N": 3})
    try:
        run_select(strategy, small.signals, 4, np.random.default_rng(0), {}, small.ids)
    except (AlError, ValueError, IndexError):
        return
    raise BrokenPromiseError("4 picks of 3 candidates were let through")


@check("select")
def labelled_never_picked(strategy: Strategy) -> None:
    """Labelled and pending samples are not asked again, nor in their stead other rows."""
    given = world(strategy)
    size = len(given.pool.ids)
    pending = sorted(given.candidates)[:5]
    # Every candidate a copy of some labelled sample: confusing the two sets now shows in the ids.
    at = [position for position, sample in enumerate(given.pool.ids) if sample in given.labeled]
    for one in (given, alike(given, np.array(at)[np.arange(size) % len(at)])):
        for n in (PICKS, size):
            found = set(asked_ids(strategy, one, Query(n=n, excluded=pending)))
            require(not found & set(given.labeled), "a labelled sample is asked")
            require(not found & set(pending), "a pending sample is asked")


@check("select")
def minus_infinity_never(strategy: Strategy) -> None:
    """A sample scored -inf is never asked, however many are."""
    given = world(strategy)
    scores = given.pool.signals["scores"].copy()
    scores[::3] = -np.inf
    barred = set(given.pool.ids[::3])
    one = type(given)(pools.with_signal(given.pool, "scores", scores), given.labeled)
    for share in (0.0, 0.5):
        found = set(asked_ids(strategy, one, Query(n=1000, random_share=share)))
        require(not found & barred, "a sample scored -inf is asked")
        require(found == given.candidates - barred, "not every other candidate is asked")


@check("select", when=_labeled)
def one_index_space(strategy: Strategy) -> None:
    """Positions count candidates, also where the labelled samples are more than they, or fewer."""
    for sizes in ({"N": 5, "L": 40}, {"N": 40, "L": 1}):
        given = inputs(strategy, sizes=sizes)
        for n in (1, 3, 5):
            outcome(strategy, given, n=n)


@check("select", when=_labeled)
def no_label_yet(strategy: Strategy) -> None:
    """With no labelled sample it still gives a batch."""
    given = inputs(strategy, sizes={"L": 0})
    for n in (1, 8, len(given.ids)):
        outcome(strategy, given, n=n)


@check("select")
def small_pools(strategy: Strategy) -> None:
    """One or two candidates, one feature, two classes, constant features: no crash, as many picks as asked."""
    for sizes in ({"N": 1}, {"N": 2}, {"N": 1, "L": 0}, {"N": 3, "D": 1}, {"N": 4, "C": 2}):
        given = inputs(strategy, sizes=sizes)
        for n in range(1, len(given.ids) + 1):
            outcome(strategy, given, n=n)
    given = inputs(strategy)
    for name, values in given.signals.items():
        if "D" in pools.axes(name):
            flat = values.copy()
            flat[:, 0] = 7.0
            given = pools.with_signal(given, name, flat)
    outcome(strategy, given)
