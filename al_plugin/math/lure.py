"""Unbiased risk from labels that were chosen, not drawn evenly: LURE.

Samples i_1, ..., i_M are drawn one by one without replacement from N candidates, each with probability
q_m among those that are left. Then Σ v_m ℓ_m / M is an unbiased estimate of the mean loss of all N.
Source: Farquhar, Gal, Rainforth (2021); Kossen, Farquhar, Gal, Rainforth (2021).
"""

from collections.abc import Sequence

import numpy as np

from al_plugin.axes import FloatsN, Ints
from al_plugin.math.intervals import Estimate, Refused, effective_size, wilson

# Fewest draws from which the spread of the terms is estimated.
FEWEST = 10
# Select strategies that draw every candidate with a known chance.
DRAWS = ("power", "softmax", "softrank", "random")


def lure_weights(probabilities: Sequence[float] | FloatsN, population: int) -> FloatsN:
    """v_m = 1 + (N-M)/(N-m) · (1/((N-m+1) q_m) - 1), m = 1..M, shape (M,).

    ``probabilities`` are q_m, positive. Even draws give 1 each; so does the last of M = N, where the
    formula is 0/0.
    """
    q = np.asarray(probabilities, dtype=np.float64)
    drawn = len(q)
    m = np.arange(1, drawn + 1, dtype=np.float64)
    left = population - m
    factor = np.divide(population - drawn, left, out=np.zeros(drawn), where=left > 0)
    weights: FloatsN = 1.0 + factor * (1.0 / ((left + 1.0) * q) - 1.0)
    return weights


def lure(losses: FloatsN, probabilities: Sequence[float] | FloatsN, population: int) -> Estimate | Refused:
    """Mean loss of the population (N) from losses (M,) in [0, 1] in order of the draw, with a 95 % interval.

    The estimate is a weighted mean Σ c_m A_m of A_m = ℓ_m / (N q_m) + Σ_{t<m} ℓ_t / N, each unbiased given
    what was drawn before, with c_m = N (N-M) / (M (N-m) (N-m+1)); its variance is Σ c_m² (A_m - estimate)².
    The interval is Wilson's at the size of an even draw of that variance, but no larger than Kish's
    (Σv)² / Σv²: where every loss is the same the sample says nothing of its spread. Exact where all are drawn.
    Refused where the weights v come down to fewer than two even draws: one outweighs all others. Unbiased, so that
    a value may lie a little above 1.
    """
    drawn = len(losses)
    q = np.asarray(probabilities, dtype=np.float64)
    if drawn < min(FEWEST, population):
        return Refused(f"{drawn} of the {FEWEST} draws that an interval needs")
    if not (q > 0).all():
        return Refused("some drawn sample had no chance of being drawn")
    weights = lure_weights(q, population)
    value, kish = float((weights * losses).mean()), float(weights.sum() ** 2 / (weights**2).sum())
    if drawn == population:
        return Estimate(value, value, value)
    if kish < 2.0:
        return Refused(f"the {drawn} draws are too uneven: they weigh no more than {kish:.1f} even ones")
    m = np.arange(1, drawn + 1, dtype=np.float64)
    share = population * (population - drawn) / (drawn * (population - m) * (population - m + 1.0))
    before = np.concatenate([[0.0], np.cumsum(losses)[:-1]])
    terms = losses / (population * q) + before / population
    variance = float((share**2 * (terms - value) ** 2).sum()) * drawn / (drawn - 1)
    p = min(max(value, 0.0), 1.0)
    size = kish * effective_size(drawn, population) / drawn
    if variance > 0:
        size = min(size, p * (1.0 - p) / variance) if 0.0 < p < 1.0 else size
    found = wilson(p * size, size)
    return Estimate(value, found.low, found.high)


def sequential_probabilities(log_weights: FloatsN, drawn: Ints) -> FloatsN:
    """q_m of samples ``drawn`` (M positions, in order) without replacement in proportion to exp(log weight).

    ``log_weights`` (N,) of all candidates; what was drawn before takes no more part.
    """
    weights = np.exp(log_weights - log_weights.max())
    own = weights[drawn]
    # Summed from the end, so that the last draws of a nearly used up pool keep their digits.
    others = np.delete(weights, drawn).sum()
    left = others + np.cumsum(own[::-1])[::-1]
    probabilities: FloatsN = np.divide(own, left, out=np.zeros(len(own)), where=left > 0)
    return probabilities


def log_weights(strategy: str, scores: FloatsN, beta: float) -> FloatsN | None:
    """What a stochastic select strategy draws in proportion to, as logarithm, (N,); None: it draws nothing so.

    power β log s, softmax β s, softrank -β log rank: see strategies/select/stochastic.py.
    """
    if strategy == "power":
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(scores, 0.0))
        found: FloatsN = np.where(np.isneginf(logs), -np.inf, beta * np.maximum(logs, -1e300))
        return found
    if strategy == "softmax":
        return beta * scores
    if strategy == "softrank":
        ordered = np.sort(-scores)
        by_rank: FloatsN = -beta * np.log(np.searchsorted(ordered, -scores, side="left") + 1.0)
        return by_rank
    return np.zeros(len(scores)) if strategy == "random" else None
