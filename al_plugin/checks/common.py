"""Promises of score, select and merge strategies alike, and of every strategy's card."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from al_plugin.checks import pools
from al_plugin.checks.calls import inputs, outcome, raw
from al_plugin.checks.outside import (
    another_process,
    changed_generators,
    generator_states,
    kept_generators,
    seed_generators,
)
from al_plugin.checks.result import check, require
from al_plugin.errors import AlError, SignalError, StrategyError
from al_plugin.signals import SIGNALS
from al_plugin.strategies.registry import OneOf, Range, Strategy, check_knobs

_ARRAYS = ("score", "select", "merge")
_ALL = (*_ARRAYS, "train")
# What a strategy may ask for only to know how many there are.
_COUNTS = frozenset({"sample_keys", "n_samples", "n_classes"})


@check(*_ALL)
def documented(strategy: Strategy) -> None:
    """The docstring says what the result means, a score's also its range; the card is filled in."""
    text = strategy.function.__doc__ or ""
    first = text.strip().split("\n\n")[0]
    require(len(first) >= 20 and first.rstrip().endswith("."), "the docstring has no opening sentence")
    if strategy.stage == "score":
        require("range" in text.lower(), "the docstring does not give the range of the score")
        require(any(sign in text for sign in "=∈Σ"), "the docstring gives no formula")
    for name in ("reference", "cost", "use"):
        require(getattr(strategy.card, name).strip(), f"the card has no {name}")


@check(*_ALL)
def knobs_valid(strategy: Strategy) -> None:
    """Defaults lie within their limits; unknown knobs and values out of range are refused by name."""
    defaults = {name: knob.default for name, knob in strategy.knobs.items()}
    require(check_knobs(strategy, defaults) == defaults, "a default is not taken as it is")
    for name in (*strategy.knobs, "knob"):
        message = _refusal(strategy, {f"{name}_": 1})
        require(f"{name}_" in message, f"an unknown knob {name}_ is not refused by name: {message!r}")
        near = f"did you mean '{name}'"
        require(name not in strategy.knobs or near in message, f"the refusal of {name}_ does not propose {name}")
    for name, value in _outside(strategy):
        message = _refusal(strategy, {name: value})
        require(name in message, f"{name} = {value!r} is not refused: {message!r}")


@check(*_ARRAYS)
def knob_edges(strategy: Strategy) -> None:
    """Every knob may stand at either end of its range."""
    given = inputs(strategy)
    for name, value in edges(strategy):
        try:
            outcome(strategy, given, knobs={name: value})
        except Exception as error:
            raise StrategyError(f"{name} = {value!r}: {type(error).__name__}: {error}") from error


@check(*_ARRAYS)
def repeatable(strategy: Strategy) -> None:
    """The same input and seed give the same result."""
    for given in _with_ties(strategy):
        require(np.array_equal(outcome(strategy, given), outcome(strategy, given)), "a second call gave another result")


@check(*_ARRAYS)
def no_state(strategy: Strategy) -> None:
    """A call leaves nothing behind that changes a later one."""
    first, other = inputs(strategy), inputs(strategy, seed=1)
    before = outcome(strategy, first).copy()
    outcome(strategy, other)
    require(np.array_equal(before, outcome(strategy, first)), "after a call on other data the result is another")


@check(*_ARRAYS)
def global_generators(strategy: Strategy) -> None:
    """The global generators of NumPy, Python and torch are neither used nor moved."""
    for given in _with_ties(strategy):
        with kept_generators():
            seed_generators(1)
            before = generator_states()
            first = outcome(strategy, given)
            moved = changed_generators(before, generator_states())
            require(not moved, f"moved the global generator of {', '.join(moved)}")
            seed_generators(2)
            require(np.array_equal(first, outcome(strategy, given)), "the result depends on a global generator")


@check(*_ARRAYS)
def clock_and_hash(strategy: Strategy) -> None:
    """Neither the clock nor Python's per-process ``hash`` matters."""
    for given in _with_ties(strategy):
        here = outcome(strategy, given)
        with another_process():
            there = outcome(strategy, given)
        require(np.array_equal(here, there), "the result depends on the clock or on hash()")


@check(*_ARRAYS)
def inputs_unwritten(strategy: Strategy) -> None:
    """Inputs are read, never written."""
    given = inputs(strategy)
    before = {name: v.tobytes() for name, v in given.signals.items() if isinstance(v, np.ndarray)}
    # Handed writeable here: what the round's read-only views would stop must not even be tried.
    raw(strategy, given)
    for name, content in before.items():
        require(given.signals[name].tobytes() == content, f"wrote into {name}")
    outcome(strategy, given)


@check(*_ARRAYS)
def own_result(strategy: Strategy) -> None:
    """The result is an array of its own, not a view of an input."""
    given = inputs(strategy)
    result = raw(strategy, given)
    require(isinstance(result, np.ndarray), f"returned {type(result).__name__}, not an array")
    for name, values in given.signals.items():
        if isinstance(values, np.ndarray):
            require(not np.shares_memory(result, values), f"the result shares memory with {name}")


@check(*_ARRAYS)
def every_signal_matters(strategy: Strategy) -> None:
    """Every signal that is asked for can change the result."""
    given = inputs(strategy)
    here = outcome(strategy, given)
    for name in set(strategy.signals) - _COUNTS:
        others = (inputs(strategy, seed=seed).signals[name] for seed in range(1, 9))
        changed = (not np.array_equal(here, outcome(strategy, pools.with_signal(given, name, v))) for v in others)
        require(any(changed), f"{name} never changed the result; ask only for what is read")


@check(*_ARRAYS)
def quiet(strategy: Strategy) -> None:
    """No numerical warning, neither on ordinary data nor on certain predictions, copies or a large offset."""
    given = inputs(strategy)
    rows = np.arange(len(given.ids))
    odd = [given, pools.copied(given, rows // 2), pools.copied(given, rows * 0), pools.sure_rows(given, rows)]
    odd.append(_offset(given))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for one in odd:
            outcome(strategy, one)


@check("score", "select", when=lambda strategy: len(strategy.signals) > 0)
def missing_signal_named(strategy: Strategy) -> None:
    """A signal that the round does not have is named in the error, with the strategy that wants it."""
    given = inputs(strategy)
    for name in strategy.signals:
        left = {key: value for key, value in given.signals.items() if key != name}
        try:
            outcome(strategy, pools.Case(given.ids, left))
        except StrategyError as error:
            require(name in str(error) and strategy.name in str(error), f"the error does not name {name}: {error}")
        else:
            require(kept=False, found=f"ran without {name}")


@check("score", "select")
def not_finite_refused(strategy: Strategy) -> None:
    """NaN and +inf (-inf too, where it is no log of zero) are refused with signal, count and first ids."""
    given = inputs(strategy)
    for name in strategy.signals:
        values = given.signals[name]
        if not pools.is_float(values):
            continue
        never = () if name.endswith("log_probs") or name == "scores" else (-np.inf,)
        for bad in (np.nan, np.inf, *never):
            spoilt = values.copy()
            along = pools.axes(name).index("N") if "N" in pools.axes(name) else 0
            row = spoilt.shape[along] // 2
            np.moveaxis(spoilt, along, 0)[row] = bad
            message = _signal_error(strategy, pools.with_signal(given, name, spoilt))
            where = str(given.ids[row]) if "N" in pools.axes(name) else str(row)
            require(name in message and "1 of" in message, f"{bad} in {name} is not refused by name: {message!r}")
            require(where in message, f"{bad} in {name}: the error does not say where: {message!r}")


@check("score", "select")
def float32_agrees(strategy: Strategy) -> None:
    """The same numbers in single and in double precision give the same result."""
    given = pools.cast(inputs(strategy), np.float32)
    narrow, wide = outcome(strategy, given), outcome(strategy, pools.cast(given, np.float64))
    if strategy.stage == "select":
        require(np.array_equal(narrow, wide), "float32 gives other picks than float64")
    else:
        gap = float(np.max(np.abs(narrow - wide) / (1.0 + np.abs(wide))))
        require(gap <= 1e-5, f"float32 and float64 differ by {gap:.1e}")


def edges(strategy: Strategy) -> Iterator[tuple[str, Any]]:
    """Every knob with each end of its range, or each of its words."""
    for name, knob in strategy.knobs.items():
        if isinstance(knob.limit, Range):
            ends = (knob.limit.low, knob.limit.high)
            yield from ((name, knob.type(end)) for end in ends if end is not None)
        elif isinstance(knob.limit, OneOf):
            yield from ((name, word) for word in knob.limit.words)
        elif knob.type is bool:
            yield from ((name, value) for value in (False, True))


def _outside(strategy: Strategy) -> Iterator[tuple[str, Any]]:
    for name, knob in strategy.knobs.items():
        if isinstance(knob.limit, Range):
            if knob.limit.low is not None:
                yield name, knob.type(knob.limit.low - 1)
            if knob.limit.high is not None:
                yield name, knob.type(knob.limit.high + 1)
        elif isinstance(knob.limit, OneOf):
            yield name, "no such word"
        if knob.type in (int, float):
            yield name, "seven"


def _refusal(strategy: Strategy, values: Mapping[str, Any]) -> str:
    try:
        check_knobs(strategy, values)
    except AlError as error:
        return str(error)
    return ""


def _signal_error(strategy: Strategy, given: pools.Case) -> str:
    try:
        outcome(strategy, given)
    except SignalError as error:
        return str(error)
    return ""


def _with_ties(strategy: Strategy) -> tuple[pools.Case, pools.Case]:
    """An ordinary pool, and one of copies: chance hides where ties are broken."""
    given = inputs(strategy)
    return given, pools.copied(given, np.arange(len(given.ids)) // 6)


def _offset(given: pools.Case) -> pools.Case:
    """Embeddings far from the origin, in pairs of copies: squared distances cancel to about zero."""
    halves = np.arange(len(given.ids)) // 2
    signals = {
        name: (values.astype(np.float64) * 0.1 + 1000.1) if "D" in SIGNALS[name].axes.split() else values
        for name, values in given.signals.items()
    }
    return pools.copied(pools.Case(given.ids, signals), halves)
