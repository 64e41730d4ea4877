"""Learning curves: metric against number of labels, one row per seed."""

import numpy as np
from numpy.typing import NDArray

from al_plugin.axes import Floats, FloatsN, Ints


def area_under(budgets: Ints, values: Floats) -> FloatsN:
    """Normalised area under the budget curve (AUBC) of each row, shape (K,), in the metric's unit.

    ``budgets`` (B,) increasing numbers of labels, ``values`` (K, B). Σ_b (v_b + v_{b+1}) / 2 · (s_{b+1} - s_b) /
    (s_B - s_1): the mean height between first and last budget, both included, so a constant curve c has
    area c. One budget: its value. Source: Zhan et al. (2022), normalised trapezoid.
    """
    if len(budgets) == 1:
        return values[:, 0].astype(np.float64)
    widths = np.diff(budgets).astype(np.float64)
    area: FloatsN = ((values[:, 1:] + values[:, :-1]) / 2.0 * widths).sum(axis=1) / widths.sum()
    return area


def labels_to_target(budgets: Ints, values: Floats, target: float) -> Ints:
    """Number of labels at the first budget whose value reaches ``target`` (>=), per row (K,); -1 for never.

    -1 is right-censored: the row needs more labels than its last budget.
    """
    reached = values >= target
    return np.where(reached.any(axis=1), budgets[reached.argmax(axis=1)], -1).astype(np.int64)


def censored_median(times: Ints) -> int | None:
    """Kaplan-Meier median of times (K,), -1 for those censored at the common end; None if beyond it.

    The least t with S(t) <= 1/2. Where all are censored at one end S is 1 less the share of rows done
    by t, so this is the ⌈K/2⌉-th time. Source: Kaplan and Meier (1958); Brookmeyer and Crowley (1982).
    """
    done = np.sort(times[times >= 0])
    half = (len(times) + 1) // 2
    return int(done[half - 1]) if len(done) >= half else None


def mean_band(values: Floats, confidence: float = 0.95) -> tuple[FloatsN, NDArray[np.float64] | None]:
    """Mean over rows (B,), and half the width of its Student interval (B,): None for one row.

    ``values`` (K, B). x̄ ± t_{K-1} s / √K, budget by budget: not a band for the whole curve at once.
    """
    rows = len(values)
    mean: FloatsN = values.mean(axis=0, dtype=np.float64)
    if rows < 2:
        return mean, None
    from scipy.special import stdtrit

    quantile = float(stdtrit(rows - 1, 0.5 + confidence / 2.0))
    return mean, quantile * values.std(axis=0, ddof=1, dtype=np.float64) / np.sqrt(rows)
