"""Is one arm better than another? Paired comparisons over seeds, corrected for their number."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from al_plugin.axes import FloatsN


@dataclass(frozen=True)
class Paired:
    """K paired differences: ``mean``, their ``deviation`` (ddof 1), a Student interval, and p by two tests.

    ``deviation``, ``low``, ``high`` and ``p_t`` are None for one pair, which carries no error of its own.
    """

    pairs: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    p_t: float | None
    p_wilcoxon: float
    wins: int
    losses: int


def paired(differences: FloatsN, confidence: float = 0.95) -> Paired:
    """Compare K paired differences with 0, two-sided: t test and exact Wilcoxon signed-rank test.

    Differences that are all equal have deviation 0: p_t is then 0, or 1 where they are 0.
    """
    k, mean = len(differences), float(differences.mean())
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    p_wilcoxon = signed_rank_p(differences)
    if k < 2:
        return Paired(k, mean, None, None, None, None, p_wilcoxon, wins, losses)
    deviation = float(differences.std(ddof=1))
    error = deviation / np.sqrt(k)
    low, high = mean - _quantile(k, confidence) * error, mean + _quantile(k, confidence) * error
    p = _two_sided(mean / error, k - 1) if error > 0 else float(mean == 0)
    return Paired(k, mean, deviation, float(low), float(high), p, p_wilcoxon, wins, losses)


def signed_rank_p(differences: FloatsN) -> float:
    """Two-sided p of the Wilcoxon signed-rank test, exact for any K: zeros are left out, ties share ranks.

    W is the sum of the ranks of |d| over d > 0; under the null each of the 2^K signs is as likely, and
    p = min(1, 2 min(P(W <= w), P(W >= w))). Counted by K²(K+1) additions over doubled ranks, which are
    whole numbers. The least p is 2^(1-K). Source: Wilcoxon (1945).
    """
    kept = differences[differences != 0]
    if len(kept) == 0:
        return 1.0
    doubled = _doubled_ranks(np.abs(kept))
    share = np.zeros(int(doubled.sum()) + 1)
    share[0] = 1.0
    for rank in doubled.tolist():
        moved = np.zeros_like(share)
        moved[rank:] = share[: len(share) - rank]
        share = (share + moved) / 2.0
    w = int(doubled[kept > 0].sum())
    return float(min(1.0, 2.0 * min(share[: w + 1].sum(), share[w:].sum())))


def holm(p_values: FloatsN) -> FloatsN:
    """Holm's adjusted p values (M,): below α in any set of hypotheses, the chance of one false claim is at most α.

    For p_(1) <= ... <= p_(M): max over j <= i of (M - j + 1) p_(j), at most 1. Source: Holm (1979).
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p_values[order]))
    return adjusted


def seeds_needed(deviation: float, difference: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Least number of pairs with which a paired t test finds a true ``difference`` with this power.

    ``deviation`` is that of the paired differences, in the same unit. Power of K pairs is
    P(|T| > t_{K-1, 1-α/2}) for T noncentral t with K-1 degrees of freedom and noncentrality √K δ/σ.
    At least 2.
    """
    if deviation == 0:
        return 2
    k = 2
    while power_of(k, difference / deviation, alpha) < power:
        k *= 2
    low = k // 2  # not enough, unless k is 2
    while k - low > 1:
        middle = (low + k) // 2
        low, k = (low, middle) if power_of(middle, difference / deviation, alpha) >= power else (middle, k)
    return max(2, k)


def power_of(pairs: int, effect: float, alpha: float = 0.05) -> float:
    """Power of the two-sided paired t test for a true effect δ/σ with so many pairs.

    E_s[Φ(√K |δ|/σ - t s) + Φ(-√K |δ|/σ - t s)] over the law of s = √(χ²/(K-1)), by Gauss-Legendre
    quadrature: library forms of the noncentral t distribution give NaN for large effects.
    """
    from scipy.special import gammaln, log_ndtr

    freedom, shift, limit = pairs - 1, float(np.sqrt(pairs)) * abs(effect), _quantile(pairs, 1.0 - alpha)
    reach = 12.0 / np.sqrt(2.0 * freedom)  # in deviations of s, which is near 1
    low, high = max(0.0, 1.0 - reach), 1.0 + reach
    nodes, weights = _legendre(100)
    s = (low + high + (high - low) * nodes) / 2.0
    half = freedom / 2.0
    density = np.exp(np.log(2.0) + half * np.log(half) - gammaln(half) + (freedom - 1) * np.log(s) - half * s**2)
    found = np.exp(log_ndtr(shift - limit * s)) + np.exp(log_ndtr(-shift - limit * s))
    return float(np.clip((weights * density * found).sum() * (high - low) / 2.0, 0.0, 1.0))


def deviation_interval(deviation: float, pairs: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a standard deviation estimated from so many normal values: s √((K-1) / χ²)."""
    from scipy.special import chdtri

    tail = (1.0 - confidence) / 2.0
    low, high = chdtri(pairs - 1, tail), chdtri(pairs - 1, 1.0 - tail)
    return deviation * float(np.sqrt((pairs - 1) / low)), deviation * float(np.sqrt((pairs - 1) / high))


def equivalent(found: Paired, within: float, alpha: float = 0.05) -> bool:
    """Whether two one-sided t tests at ``alpha`` both say that the mean lies inside ± ``within`` (TOST).

    The same as: the 1 - 2 α interval lies inside. Source: Schuirmann (1987).
    """
    if found.deviation is None:
        return False
    half = _quantile(found.pairs, 1.0 - 2.0 * alpha) * found.deviation / float(np.sqrt(found.pairs))
    return bool(abs(found.mean) + half < within)


def noninferior_p(differences: FloatsN, margin: float) -> float:
    """One-sided p of "the mean of K paired differences is ``-margin`` or less", by a t test.

    Below α: no worse than by ``margin``. 1 where one pair carries no error of its own; differences that
    are all equal give 0 or 1.
    """
    from scipy.special import stdtr

    found = paired(differences)
    if found.deviation is None:
        return 1.0
    if found.deviation == 0:
        return float(found.mean <= -margin)
    t = (found.mean + margin) / (found.deviation / np.sqrt(found.pairs))
    return float(stdtr(found.pairs - 1, -t))


def _doubled_ranks(sizes: FloatsN) -> NDArray[np.int64]:
    """Twice the rank of each size, equal ones sharing the mean of theirs: first + last of the tie."""
    ordered = np.sort(sizes)
    below = np.searchsorted(ordered, sizes, side="left")
    upto = np.searchsorted(ordered, sizes, side="right")
    return (below + 1 + upto).astype(np.int64)


@cache
def _legendre(points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(points)


def _quantile(pairs: int, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(pairs - 1, 0.5 + confidence / 2.0))


def _two_sided(t: float, freedom: int) -> float:
    from scipy.special import stdtr

    return float(2.0 * stdtr(freedom, -abs(t)))
