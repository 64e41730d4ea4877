"""Greedy sampling for regression: batches that are far from what is labelled in outputs, and in inputs as well."""

import numpy as np

from al_plugin.axes import Floats, FloatsL, FloatsLD, FloatsN, FloatsND, Ints


def far_in_outputs(values: FloatsN, answers: FloatsL, n: int) -> Ints:
    """GSy: argmax_i min_m |f(x_i) - y_m|, y_m the answer of a labelled m, and of a picked one the prediction f(x_m)."""
    return _greedy(None, values.astype(np.float64), None, answers.astype(np.float64), n)


def far_in_both(points: FloatsND, values: FloatsN, labeled: FloatsLD, answers: FloatsL, n: int) -> Ints:
    """iGS: argmax_i min_m ‖x_i - x_m‖ |f(x_i) - y_m|; a picked m counts with its prediction."""
    return _greedy(
        points.astype(np.float64), values.astype(np.float64), labeled.astype(np.float64), answers.astype(np.float64), n
    )


def _greedy(points: Floats | None, values: FloatsN, labeled: Floats | None, answers: FloatsN, n: int) -> Ints:
    """Repeatedly the candidate whose least distance to what is labelled or picked is largest; ties to the first."""
    nearest = np.full(len(values), np.inf)
    for m, answer in enumerate(answers):
        at = None if labeled is None else labeled[m]
        nearest = np.minimum(nearest, _distance(points, values, at, answer))
    picks = np.empty(n, dtype=np.int64)
    free = np.ones(len(values), dtype=np.bool_)
    for k in range(n):
        if k == 0 and len(answers) == 0:
            picks[k] = _central(values[:, None] if points is None else points)
        else:
            picks[k] = np.where(free, nearest, -1.0).argmax()
        free[picks[k]] = False
        at = None if points is None else points[picks[k]]
        nearest = np.minimum(nearest, _distance(points, values, at, values[picks[k]]))
    return picks


def _distance(points: Floats | None, values: FloatsN, at: Floats | None, value: float) -> FloatsN:
    """Distance (N,) of every candidate to one sample in outputs, times that in inputs where there are ``points``."""
    apart: FloatsN = np.abs(values - value)
    if points is None or at is None:
        return apart
    gap = points - at
    far: FloatsN = np.sqrt(np.einsum("nd,nd->n", gap, gap)) * apart
    return far


def _central(rows: Floats) -> int:
    """The row nearest to the mean of all."""
    gap = rows - rows.mean(axis=0)
    return int(np.einsum("nd,nd->n", gap, gap).argmin())
