"""BatchBALD: a batch that tells much about the posterior together."""

import numpy as np

from al_plugin.axes import FloatsN, FloatsTNC, Picks
from al_plugin.math.committee import mutual_information
from al_plugin.math.joint import Configurations, by_sample, extended, information_left, no_labels

# Gains below this are rounding of the float32 products.
_ROUNDING = 1e-6
# Candidates evaluated at a time.
_WAVE = 16


def batch_bald(
    log_probs: FloatsTNC, n: int, rng: np.random.Generator, *, configurations: int
) -> tuple[Picks, FloatsN, int | None]:
    """Greedy maximisation of a(S) = I(y_S; ω), from ``log_probs`` (T, N, C).

    Returns (picks, gains, saturated_at). The gain of x after S is E[I(y_x; ω | y_S)] over labels of S:
    exact while C^|S| <= ``configurations``, else over that many drawn ones. Gains sum to a(S), up to the
    error of the draw at most log T: T samples cannot tell more. Once the greatest gain does not exceed
    its standard error (or rounding) the rest would be noise: the search stops, ``saturated_at`` is the
    number of picks made, and there are so many picks and gains (None, and n of them, otherwise).

    Lazy evaluation (Minoux 1978): a gain never exceeds the one before (in the mean, once configurations
    are drawn), so old gains are bounds. Ties go to the first position. O(T N C) first, then
    O(T C configurations) per evaluation; memory O(T configurations) besides the input.
    Source: Kirsch, van Amersfoort, Gal (2019).
    """
    bounds = mutual_information(log_probs)
    given = no_labels(len(log_probs), np.float32)
    picks: list[int] = []
    gains: list[float] = []
    while len(picks) < n:
        best = int(bounds.argmax()) if not picks else _best(log_probs, bounds, given)
        chosen = log_probs[:, best]
        gain, error = (float(bounds[best]), 0.0) if not picks else _gain(chosen[:, None], given)
        if gain <= max(error, _ROUNDING):
            return np.array(picks, dtype=np.int64), np.array(gains), len(picks)
        picks.append(best)
        gains.append(gain)
        bounds[best] = -np.inf
        if len(picks) < n:
            given = extended(given, chosen, configurations, rng)
    return np.array(picks, dtype=np.int64), np.array(gains), None


def _best(log_probs: FloatsTNC, bounds: FloatsN, given: Configurations) -> int:
    """Position of the greatest gain; ``bounds`` (N,) is brought up to date as far as that takes."""
    order = np.argsort(-bounds, kind="stable")
    best, gain = int(order[0]), -np.inf
    for start in range(0, len(order), _WAVE):
        wave = order[start : start + _WAVE]
        # Bounds and gains differ by rounding where they are equal: a bound counts as reached a little below.
        wave = wave[(bounds[wave] >= gain - _ROUNDING) & ~np.isneginf(bounds[wave])]
        if not len(wave):
            break
        bounds[wave] = information_left(log_probs[:, wave], given)
        first = int(np.lexsort((wave, -bounds[wave]))[0])
        at, value = int(wave[first]), float(bounds[wave[first]])
        if value > gain or (value == gain and at < best):
            best, gain = at, value
    return best


def _gain(log_probs: FloatsTNC, given: Configurations) -> tuple[float, float]:
    """The gain of one sample (T, 1, C) in float64 and its standard error, 0 where nothing was drawn."""
    logs, probs = by_sample(log_probs)
    mixed = probs[0] @ given.weights
    terms = -(mixed * np.log(np.maximum(mixed, 1e-300))).sum(axis=0) + (probs[0] * logs[0]).sum(axis=0) @ given.weights
    terms = np.maximum(terms, 0.0)
    gain = float(terms @ given.masses)
    if not given.drawn:
        return gain, 0.0
    return gain, float(np.sqrt((terms - gain) ** 2 @ given.masses / given.drawn))
