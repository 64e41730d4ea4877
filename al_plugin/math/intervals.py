"""Estimates with their intervals: proportions and differences of proportions."""

import math
from dataclasses import dataclass

# Two-sided normal quantile of 95 %.
Z95 = 1.959963984540054
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its 95 % interval; an end that data cannot give is None (unbounded)."""

    value: float
    low: float | None
    high: float | None
    level: float = LEVEL


@dataclass(frozen=True)
class Refused:
    """Why there is no estimate."""

    refused: str


def wilson(successes: float, n: float, *, effective: float | None = None) -> Estimate:
    """Proportion of ``successes`` among ``n`` with its score interval, in [0, 1].

    centre (p + z²/2m) / (1 + z²/m), half width z √(p(1-p)/m + z²/4m²) / (1 + z²/m), with m the
    ``effective`` size (default n; infinite: the population itself was counted, and the interval is a
    point). Source: Wilson (1927); the effective size of a finite population, ``effective_size``.
    """
    p = successes / n
    m = n if effective is None else effective
    if math.isinf(m):
        return Estimate(p, p, p)
    shrink = 1.0 + Z95**2 / m
    centre = (p + Z95**2 / (2.0 * m)) / shrink
    half = Z95 * math.sqrt(p * (1.0 - p) / m + Z95**2 / (4.0 * m**2)) / shrink
    # At 0 and 1 the ends are exact.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Estimate(p, low, high)


def effective_size(drawn: int, population: float) -> float:
    """Size of a draw with replacement that is as precise as one without from a finite population.

    n (N - 1) / (N - n): the finite population correction. Infinite where everything was drawn.
    """
    if math.isinf(population):
        return float(drawn)
    return math.inf if drawn >= population else drawn * (population - 1) / (population - drawn)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """First minus second of two independent proportions: Newcombe's (1998) method 10 from their score intervals."""
    value = first.value - second.value
    below = math.hypot(first.value - _end(first.low, 0.0), _end(second.high, 1.0) - second.value)
    above = math.hypot(_end(first.high, 1.0) - first.value, second.value - _end(second.low, 0.0))
    return Estimate(value, value - below, value + above)


def _end(end: float | None, otherwise: float) -> float:
    return otherwise if end is None else end
