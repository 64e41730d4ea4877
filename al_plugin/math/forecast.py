"""Where a learning curve is heading: metric(n) = a - b·n^(-c) fitted to what was measured, with intervals.

The curve is linear in (a, b) once c is given: weighted least squares at every c of a grid, each c then
weighted by how well it explains the points. So the interval knows that c is uncertain, which with five
rounds is most of what is uncertain. Source of the law: Hestness et al. (2017); of the integration:
ordinary conjugate regression (Gelman et al., Bayesian Data Analysis, chapter 14).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_plugin.math.intervals import LEVEL, Estimate, Refused

FEWEST = 4
EXPONENTS = np.geomspace(0.05, 2.0, 61)
_DRAWS = 4000
# The sampling error of a metric on the evaluation set counts as this many observations of the scatter.
_PRIOR_WEIGHT = 1.0
# An interval this wide on a metric in [0, 1] says nothing.
_WIDEST = 0.5
_SEED = 20_240_229
Array = NDArray[np.float64]


@dataclass(frozen=True)
class PowerLaw:
    """Draws of (a, b, c, scatter) that the points allow, shape (draws,) each; ``m`` is the evaluation set's size.

    ``scatter`` is in units of the metric's own sampling error √(p(1-p)/m).
    """

    a: Array
    b: Array
    c: Array
    scatter: Array
    m: int

    def at(self, n: float) -> Array:
        """Draws of the curve at ``n`` labels."""
        return self.a - self.b * n**-self.c


def fit(labels: Sequence[float], metric: Sequence[float], m: int) -> PowerLaw | Refused:
    """The law through (labels, metric), metric in [0, 1] measured on ``m`` samples; or why there is none.

    c lies in [.05, 2] (log-uniform), b ≥ 0, a ≤ 1; curves are otherwise equally likely before the data
    (flat in the values at the first and the last point). Draws come from a fixed seed.
    """
    x, y = np.asarray(labels, dtype=np.float64), np.asarray(metric, dtype=np.float64)
    distinct = len(np.unique(x))
    if distinct < FEWEST:
        return Refused(f"{distinct} of the {FEWEST} different numbers of labels that a curve needs")
    # A sample more and less, so that a metric of 0 or 1 has an error, too.
    variance = (y * m + 1.0) * ((1.0 - y) * m + 1.0) / (m + 2.0) ** 2 / m
    weight = 1.0 / variance
    degrees = len(x) - 2 + _PRIOR_WEIGHT
    fits = [_least_squares(x, y, weight, c) for c in EXPONENTS]
    residual = np.array([found.residual for found in fits])
    log_weight = np.array([found.log_volume for found in fits]) - degrees / 2.0 * np.log(_PRIOR_WEIGHT + residual)
    rng = np.random.default_rng(_SEED)
    chance = np.exp(log_weight - log_weight.max())
    which = np.sort(rng.choice(len(EXPONENTS), _DRAWS, p=chance / chance.sum()))
    scatter = np.sqrt((_PRIOR_WEIGHT + residual[which]) / rng.chisquare(degrees, _DRAWS))
    noise = rng.standard_normal((_DRAWS, 2))
    roots = np.array([found.root for found in fits])[which]
    draws = np.array([found.solution for found in fits])[which]
    draws = draws + scatter[:, None] * np.einsum("dij,dj->di", roots, noise)
    possible = (draws[:, 1] >= 0) & (draws[:, 0] <= 1.0)
    if possible.mean() < 0.02:
        return Refused("the metric does not rise with the labels as a power law does")
    a, b = draws[possible].T
    return PowerLaw(a, b, EXPONENTS[which][possible], scatter[possible], m)


def forecast(law: PowerLaw, n: float) -> Estimate | Refused:
    """Metric that will be measured at ``n`` labels, median and 95 % interval, in [0, 1]: curve and scatter."""
    curve = np.clip(law.at(n), 0.0, 1.0)
    error = law.scatter * np.sqrt(curve * (1.0 - curve) / law.m)
    seen = curve + error * np.random.default_rng(_SEED + 1).standard_normal(len(curve))
    found = _summary(np.clip(seen, 0.0, 1.0))
    if found.high is not None and found.low is not None and found.high - found.low > _WIDEST:
        return Refused(f"the curve is not determined: anything from {found.low:.2f} to {found.high:.2f} fits")
    return found


def asymptote(law: PowerLaw) -> Estimate:
    """The metric with labels without end, a."""
    return _summary(law.a)


def labels_to(law: PowerLaw, target: float | Array) -> Estimate | Refused:
    """Labels at which the curve reaches the target (one, or one per draw): (b / (a - target))^(1/c).

    The upper end is None where more than 2.5 % of the curves never get there; refused where half do not.
    """
    needed = needed_draws(law, target)
    if np.isinf(needed).mean() >= 0.5:
        return Refused("the curve may never get there: half of the curves that fit do not")
    return _summary(needed)


def needed_draws(law: PowerLaw, target: float | Array) -> Array:
    """Labels to the target, one per draw of the law, infinite where the curve never gets there."""
    gap = law.a - target
    with np.errstate(divide="ignore", over="ignore"):
        logs = (np.log(law.b) - np.log(np.where(gap > 0, gap, 1.0))) / law.c
        needed: Array = np.where(gap > 0, np.exp(logs), np.inf)
    return needed


def summary_of(draws: Array) -> Estimate:
    """Median and 95 % interval of draws; an infinite end is None."""
    return _summary(draws)


@dataclass(frozen=True)
class _Fit:
    """(a, b), a root of their covariance (in units of scatter²), weighted residuals, log of the volume."""

    solution: Array
    root: Array
    residual: float
    log_volume: float


def _least_squares(x: Array, y: Array, weight: Array, c: float) -> _Fit:
    # In units of the first point's power, so that nothing overflows.
    basis = (x / x.min()) ** -c
    design = np.stack([np.ones_like(x), -basis], axis=1)
    normal = design.T @ (weight[:, None] * design)
    covariance = np.linalg.inv(normal)
    solution = covariance @ (design.T @ (weight * y))
    residual = float((weight * (y - design @ solution) ** 2).sum())
    scale = np.array([1.0, x.min() ** c])
    # Flat in the curve's values at both ends: the change of variables is the span of the basis.
    span = float(basis.max() - basis.min())
    log_volume = math.log(span) - 0.5 * float(np.linalg.slogdet(normal)[1])
    return _Fit(solution * scale, np.linalg.cholesky(covariance) * scale[:, None], residual, log_volume)


def _summary(draws: Array) -> Estimate:
    tail = (1.0 - LEVEL) / 2.0
    # Of the draws themselves: between a number and infinity nothing can be interpolated.
    low, middle, high = np.quantile(draws, (tail, 0.5, 1.0 - tail), method="nearest")
    ends = [float(end) if np.isfinite(end) else None for end in (low, high)]
    return Estimate(float(middle), ends[0], ends[1])
