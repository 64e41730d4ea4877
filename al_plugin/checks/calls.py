"""Call a strategy the way a round does: signals read-only and checked, the result held to its form."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from al_plugin.axes import Ints
from al_plugin.checks.pools import Case, case, copied, reordered
from al_plugin.data.sets import Labeled, Scoreboard
from al_plugin.rounds.consensus import run_merge
from al_plugin.rounds.score import run_score
from al_plugin.rounds.select import Asked, Selected, run_select, select
from al_plugin.strategies.registry import Noted, Strategy

PICKS = 8
_POOL = 60
# Labelled samples stand among the others, not at an end, so that a shift of positions shows.
_LABELED = (3, 4, 17, 31, 44, 58)


def outcome(
    strategy: Strategy, given: Case, *, n: int = PICKS, seed: int = 0, knobs: Mapping[str, Any] | None = None
) -> np.ndarray:
    """Scores (N,), picks (n,) or class weights (S, C) of a score, select or merge strategy."""
    if strategy.stage == "score":
        return run_score(strategy, given.signals, knobs or {}, given.ids)
    if strategy.stage == "select":
        rng = np.random.default_rng(seed)
        return run_select(strategy, given.signals, min(n, len(given.ids)), rng, knobs or {}, given.ids)
    return run_merge(strategy, given.signals, knobs or {})


def raw(strategy: Strategy, given: Case, *, n: int = PICKS, seed: int = 0) -> Any:
    """What the function itself returns, before the round looks at it."""
    arguments = {name: given.signals[name] for name in strategy.signals}
    parameters = inspect.signature(strategy.function).parameters
    if "n" in parameters:
        arguments["n"] = min(n, len(given.ids))
    if "rng" in parameters:
        arguments["rng"] = np.random.default_rng(seed)
    found = strategy.function(**arguments)
    return found.picks if isinstance(found, Noted) else found


def draws(strategy: Strategy) -> bool:
    """True for a strategy that is handed a generator."""
    return "rng" in inspect.signature(strategy.function).parameters


def inputs(strategy: Strategy, *, seed: int = 0, sizes: Mapping[str, int] | None = None) -> Case:
    """The signals a strategy names; votes always with their counts."""
    counts = ("n_samples", "n_classes") if strategy.stage == "merge" else ()
    return case((*strategy.signals, *counts), seed=seed, sizes=sizes)


def described(value: Any) -> str:
    """Type of a value, with shape and dtype for an array."""
    return f"shape {value.shape} of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__


@dataclass(frozen=True)
class World:
    """A pool as a round sees it: everything by pool position, and which ids are labelled."""

    pool: Case
    labeled: tuple[str, ...]

    @property
    def candidates(self) -> set[str]:
        """Ids that may be asked."""
        return set(self.pool.ids) - set(self.labeled)


def world(strategy: Strategy, *, seed: int = 0) -> World:
    """A pool of 60 samples, 6 of them labelled, with the strategy's signals and a score each."""
    bases = {name.removeprefix("labeled_") for name in strategy.signals} | {"scores"}
    pool = case(sorted(bases), seed=seed, sizes={"N": _POOL})
    return World(pool, tuple(str(pool.ids[position]) for position in _LABELED))


def shuffled(given: World, rows: Ints) -> World:
    """The same pool with its rows in another order."""
    return World(reordered(given.pool, rows), given.labeled)


def alike(given: World, rows: Ints) -> World:
    """The same ids, each with the values of the sample that ``rows`` names."""
    return World(copied(given.pool, rows), given.labeled)


@dataclass(frozen=True)
class Query:
    """What to ask of the round's select."""

    n: int = PICKS
    seed: int = 0
    random_share: float = 0.0
    excluded: Sequence[str] = field(default_factory=tuple)


def selected(strategy: Strategy, given: World, query: Query) -> Selected:
    """The query that a round with this pool would make."""
    signals = {
        name: values for name, values in given.pool.signals.items() if name not in ("scores", "sample_keys", "labels")
    }
    blank: list[Any] = [None] * len(given.pool.ids)
    board = Scoreboard(given.pool.ids, given.pool.signals["scores"], blank, blank)
    asked = Asked(query.n, query.random_share, annotators=1, round=1, seed=query.seed)
    excluded = {*given.labeled, *query.excluded}
    labeled = Labeled(
        list(given.labeled), given.pool.signals.get("labels", np.zeros(len(given.labeled), dtype=np.int64))
    )
    return select(board, signals, labeled, excluded, strategy, {}, asked, "contract")


def asked_ids(strategy: Strategy, given: World, query: Query) -> list[str]:
    """Sample ids of that query, by rank."""
    return [row.sample_id for row in selected(strategy, given, query).rows]
