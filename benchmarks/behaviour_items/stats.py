"""Means with intervals, and tables."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

Row = dict[str, object]


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and the ends of its 95 % interval (Student's t), for paired differences; NaN ends for one value."""
    found = np.asarray(values, dtype=np.float64)
    mean, n = float(found.mean()), len(found)
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, n - 1) * found.std(ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def said(values: Sequence[float], digits: int = 3) -> str:
    """``mean [low, high]``; one or two values as they are."""
    if len(values) < 3:
        return ", ".join(f"{value:.{digits}f}" for value in values)
    mean, low, high = interval(values)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def table(rows: Sequence[Row]) -> str:
    """Rows with the same keys as a Markdown table; lists of numbers by seed as their mean and interval."""
    if not rows:
        return ""
    keys = list(rows[0])
    lines = ["| " + " | ".join(keys) + " |", "|" + " --- |" * len(keys)]
    return "\n".join([*lines, *("| " + " | ".join(cell(row[key]) for key in keys) + " |" for row in rows)])


def cell(value: object) -> str:
    if isinstance(value, list):
        return said(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
