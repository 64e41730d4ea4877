"""The best scores with noise: batches that are less alike, at the price of a sort."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsN, Picks
from al_plugin.strategies.registry import Range, strategy

_REFERENCE = "Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron, Gal (2023)"
_COST = "O(N log N)"


@strategy(
    "power",
    reference=_REFERENCE,
    cost=_COST,
    use="Redundant pools and positive scores (BALD gives PowerBALD).",
    greedy=True,
)
def power(scores: FloatsN, n: int, rng: np.random.Generator, *, beta: Annotated[float, Range(0, None)] = 1.0) -> Picks:
    """n samples drawn without replacement, with probability proportional to score^β.

    The n largest β·log s + Gumbel noise. Scores of 0 or less come last, and only when all positive
    ones are used up; β = 0 is a uniform draw among the positive ones.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(scores, 0.0))
    return _noisy(np.where(np.isneginf(logs), -np.inf, beta * np.maximum(logs, -1e300)), n, rng)


@strategy(
    "softmax",
    reference=_REFERENCE,
    cost=_COST,
    use="Redundant pools and scores of any sign on a known scale (margin, entropy).",
    greedy=True,
)
def softmax(
    scores: FloatsN, n: int, rng: np.random.Generator, *, beta: Annotated[float, Range(0, None)] = 1.0
) -> Picks:
    """n samples drawn without replacement, with probability proportional to exp(β · score).

    The n largest β·s + Gumbel noise; β = 0 is a uniform draw.
    """
    return _noisy(beta * (scores - scores.max(initial=0.0)), n, rng)


@strategy(
    "softrank",
    reference=_REFERENCE,
    cost=_COST,
    use="Redundant pools and scores whose scale means nothing.",
    greedy=True,
)
def softrank(
    scores: FloatsN, n: int, rng: np.random.Generator, *, beta: Annotated[float, Range(0, None)] = 1.0
) -> Picks:
    """n samples drawn without replacement, with probability proportional to rank^(-β), the best being rank 1.

    The n largest -β·log rank + Gumbel noise; equal scores share their best rank.
    """
    ordered = np.sort(-scores)
    ranks = np.searchsorted(ordered, -scores, side="left") + 1
    return _noisy(-beta * np.log(ranks), n, rng)


def _noisy(keys: FloatsN, n: int, rng: np.random.Generator) -> Picks:
    """Positions of the n largest keys after Gumbel noise: sequential sampling without replacement.

    Keys of -inf come last, in a random order of their own.
    """
    noisy = keys + rng.gumbel(size=len(keys))
    order = np.lexsort((rng.random(len(keys)), -noisy))
    return order[:n]
