"""Select: the next query, from scores and signals, among the candidates only."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_plugin.axes import Floats, Ints
from al_plugin.data.queries import QueryRow, query_ids
from al_plugin.data.sets import Labeled, Money, Scoreboard
from al_plugin.errors import DataError, StrategyError
from al_plugin.math import costs, lure
from al_plugin.math.sampling import best_first, id_hashes, keyed_order, mixed_keys, spread
from al_plugin.rounds import seeds
from al_plugin.schemas import schema
from al_plugin.signals import SIGNALS, check_signal, read_only, take_samples
from al_plugin.strategies.registry import Noted, Strategy

# How the empty set of labels is told.
NO_LABEL = "no label"
EXHAUSTED = "every pool sample is labelled, pending or scored -inf: add a pool part, release pending samples, or end"


@dataclass(frozen=True)
class Selected:
    """The next query, and a warning where fewer samples than asked are left."""

    rows: tuple[QueryRow, ...]
    warning: str = ""


@dataclass(frozen=True)
class Asked:
    """How many samples to ask for, the random share of them, and annotators per sample."""

    n: int
    random_share: float
    annotators: int
    round: int
    seed: int


def select(
    board: Scoreboard,
    signals: Mapping[str, np.ndarray],
    labeled: Labeled,
    excluded: Collection[str],
    strategy: Strategy,
    knobs: Mapping[str, Any],
    asked: Asked,
    why: str,
    money: Money | None = None,
    alike: Sequence[Sequence[str]] = (),
) -> Selected:
    """Choose ``asked.n`` candidates: a uniform random share first, the strategy's picks from the rest.

    ``signals`` are arrays over the pool (or without axis N), ``labeled`` the labelled samples,
    ``excluded`` ids that may not be asked (labelled, pending). Candidates are put in an order keyed
    by seed, round and id, so that neither row order nor part layout matters. With ``money`` the random
    share is drawn and paid first, whatever it costs, and the strategy's picks are bought with the rest.
    ``alike`` are groups of ids with equal features: the strategy is shown one candidate of each, and none whose
    copy was drawn, as long as that leaves it enough. Strategies that draw by known chances are shown all.
    """
    hashes = id_hashes(board.ids)
    keys = mixed_keys(hashes, seeds.number(asked.seed, asked.round, "order"))
    candidates = _candidates(board, excluded, keys)
    n = min(asked.n, len(candidates))
    if n == 0:
        return Selected((), f"no candidate is left; {EXHAUSTED}")
    warning = ""
    if n < asked.n:
        warning = f"asked for {asked.n} samples, {len(candidates)} candidates are left: the query holds {n}"
    n_random = round(asked.random_share * n)
    drawn = _random_share(len(candidates), n_random, asked)
    rest = np.delete(candidates, drawn)
    if alike and strategy.name not in lure.DRAWS:
        rest = _one_of_each(board, rest, candidates[drawn], alike, n - n_random)
    at_hand = dict(signals) | {"labels": labeled.labels, "answers": labeled.labels}
    if board.scores is not None:
        at_hand["scores"] = board.scores
    at_hand["sample_keys"] = mixed_keys(hashes, seeds.number(asked.seed, asked.round, "select"))
    rng = seeds.generator(asked.seed, asked.round, "select")
    gathered = _gathered(strategy, at_hand, rest, board.positions(labeled.sample_ids))
    if money is None:
        picks, note = run_noted(strategy, gathered, n - n_random, rng, knobs, board.ids[rest])
    else:
        price = money.costs * asked.annotators
        left = _after_random(float(price[candidates[drawn]].sum()), money.budget)
        if strategy.name == "top":
            picks, note = _bought(gathered["scores"], price[rest], left, n - n_random, money.rule), ""
        else:
            picks, note = run_noted(strategy, gathered, n - n_random, rng, knobs, board.ids[rest])
            picks = picks[costs.payable(price[rest[picks]], left, n)]
        if n_random + len(picks) < n:
            note = f"{note}; the budget of {money.budget:g} pays {n_random + len(picks)} of {n} samples".lstrip("; ")
    warning = "; ".join(text for text in (warning, note) if text)
    ranked = _ranked(rest[picks], candidates[drawn], n_random + len(picks))
    propensity = n_random / len(candidates)
    rows = _rows(board, ranked, asked, propensity, f"{strategy.name} of {len(candidates)} candidates; {why}")
    return Selected(rows, warning)


def summary(rows: Sequence[QueryRow], round_number: int) -> dict[str, Any]:
    """Metrics of a query, from its rows alone: the same before and after it is filed.

    The strategy is the one the rows name, also where params.yaml has since been told another.
    """
    scores = [row.score for row in rows if row.score is not None and row.kind == "query"]
    return {
        "schema": schema("select_metrics"),
        "round": round_number,
        "query_round": round_number + 1,
        "queried": len(rows),
        "random": sum(row.kind == "random" for row in rows),
        "mean_score": float(np.mean(scores)) if scores else None,
        "strategy": next((strategy_of(row) for row in rows if row.kind == "query"), None),
    }


def strategy_of(row: QueryRow) -> str:
    """The select strategy that picked a row, from its reason ``...; <strategy> of N candidates; ...``."""
    parts = [part for part in row.reason.split("; ") if part.endswith(" candidates")]
    return parts[0].split(" of ")[0] if parts else "unknown"


def run_select(
    strategy: Strategy,
    at_hand: Mapping[str, np.ndarray],
    n: int,
    rng: np.random.Generator,
    knobs: Mapping[str, Any],
    ids: np.ndarray | None = None,
) -> Ints:
    """The picks of ``run_noted``."""
    return run_noted(strategy, at_hand, n, rng, knobs, ids)[0]


def run_noted(
    strategy: Strategy,
    at_hand: Mapping[str, np.ndarray],
    n: int,
    rng: np.random.Generator,
    knobs: Mapping[str, Any],
    ids: np.ndarray | None = None,
) -> tuple[Ints, str]:
    """Call a select strategy on read-only, checked signals and hold it to its promise.

    Returns exactly ``n`` distinct positions among the candidates, in acquisition order, and what the
    strategy notes about them; or raises StrategyError naming the strategy and what it returned.
    """
    sizes: dict[str, int] = {}
    arguments: dict[str, Any] = {}
    for name in strategy.signals:
        if name not in at_hand:
            raise StrategyError(
                f"select.strategy {strategy.name} needs {name}, which this round does not have",
                change="use recipe auto, typiclust or random while there is no model",
            )
        check_signal(name, at_hand[name], ids, sizes)
        arguments[name] = read_only(at_hand[name])
    if n == 0:
        return np.empty(0, dtype=np.int64), ""
    handed = _handed_parameters(strategy)
    if "n" in handed:
        arguments["n"] = n
    if "rng" in handed:
        arguments["rng"] = rng
    found = strategy.function(**arguments, **knobs)
    picks, note = found if isinstance(found, Noted) else (found, "")
    if not isinstance(picks, np.ndarray) or not np.issubdtype(picks.dtype, np.integer) or picks.shape != (n,):
        form = f"shape {picks.shape} of {picks.dtype}" if isinstance(picks, np.ndarray) else type(picks).__name__
        raise StrategyError(f"select strategy {strategy.name} was asked for {n} integer positions and returned {form}")
    total = sizes.get("N", 0)
    if len(np.unique(picks)) < n or picks.min() < 0 or picks.max() >= total:
        raise StrategyError(
            f"select strategy {strategy.name} returned {len(np.unique(picks))} distinct positions from "
            f"{picks.min()} to {picks.max()}; asked for {n} distinct ones from 0 to {total - 1}"
        )
    return picks.astype(np.int64, copy=False), note


def _handed_parameters(strategy: Strategy) -> set[str]:
    return set(inspect.signature(strategy.function).parameters)


def _candidates(board: Scoreboard, excluded: Collection[str], keys: np.ndarray) -> Ints:
    free = np.array([sample_id not in excluded for sample_id in board.ids], dtype=np.bool_)
    if board.scores is not None:
        free &= ~np.isneginf(board.scores)  # a score of -inf means never
    positions = np.flatnonzero(free)
    return positions[keyed_order(keys[positions], board.ids[positions])]


def _random_share(total: int, n_random: int, asked: Asked) -> Ints:
    rng = seeds.generator(asked.seed, asked.round, "random_share")
    return rng.permutation(total)[:n_random]


def _one_of_each(board: Scoreboard, rest: Ints, drawn: Ints, alike: Sequence[Sequence[str]], n: int) -> Ints:
    """``rest`` without second copies and copies of ``drawn``, in the same order; with the first where n needs them."""
    group_of = {sample_id: group for group, ids in enumerate(alike) for sample_id in ids}
    groups = np.array([group_of.get(board.ids[at], -1) for at in (*drawn, *rest)], dtype=np.int64)
    first = np.zeros(len(groups), dtype=np.bool_)
    first[np.unique(groups, return_index=True)[1]] = True
    kept = ((groups < 0) | first)[len(drawn) :]
    missing = n - int(kept.sum())
    if missing > 0:
        kept[np.flatnonzero(~kept)[:missing]] = True
    return rest[kept]


def _after_random(cost: float, budget: float) -> float:
    if cost > budget:
        raise DataError(
            f"the random share of this query costs {cost:g}, select.budget is {budget:g}",
            change="raise select.budget, or lower select.n or select.random_share",
        )
    return budget - cost


def _bought(scores: Floats, price: Floats, money: float, n: int, rule: str) -> Ints:
    """At most ``n`` positions by score that ``money`` pays: best value per cost first, or the best set."""
    values = costs.value_per_cost(scores, np.ones(len(scores)) if rule == "knapsack" else price)
    if rule == "knapsack":
        return costs.knapsack(values, price, money, n)
    order = best_first(values, len(values))
    return order[costs.payable(price[order], money, n)]


def _gathered(
    strategy: Strategy, at_hand: Mapping[str, np.ndarray], rest: Ints, labeled: Ints
) -> dict[str, np.ndarray]:
    gathered: dict[str, np.ndarray] = {}
    for name in strategy.signals:
        base = name.removeprefix("labeled_")
        if "N" in SIGNALS[base].axes.split() and base in at_hand:
            rows = labeled if name.startswith("labeled_") else rest
            gathered[name] = take_samples(base, at_hand[base], rows)
        elif name in at_hand:
            gathered[name] = at_hand[name]
    return gathered


def _ranked(picked: Ints, drawn: Ints, n: int) -> list[tuple[int, str]]:
    """Pool positions by rank with their kind; the random share is spread evenly over the ranks."""
    at = set(spread(n, len(drawn)).tolist())
    from_drawn, from_picked = iter(drawn.tolist()), iter(picked.tolist())
    return [(next(from_drawn), "random") if rank in at else (next(from_picked), "query") for rank in range(n)]


def _rows(
    board: Scoreboard, ranked: list[tuple[int, str]], asked: Asked, propensity: float | None, why: str
) -> tuple[QueryRow, ...]:
    sample_ids = [str(board.ids[position]) for position, _ in ranked]
    rows = []
    for rank, (query_id, (position, kind)) in enumerate(
        zip(query_ids(asked.round + 1, sample_ids), ranked, strict=True)
    ):
        score = None if board.scores is None else float(board.scores[position])
        seen = board.predicted[position]
        sure = board.confidence[position]
        guess = "" if seen is None or sure is None else f"predicted {seen or NO_LABEL} ({sure:.2f}); "
        rows.append(
            QueryRow(
                query_id=query_id,
                sample_id=sample_ids[rank],
                rank=rank + 1,
                score=score,
                kind=kind,
                annotators=asked.annotators,
                propensity=propensity if kind == "random" else None,
                reason=guess + ("random share" if kind == "random" else why),
            )
        )
    return tuple(rows)
