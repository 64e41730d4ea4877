"""Greedy sampling for regression: batches that are far from what is labelled, in inputs, in outputs, in both."""

import numpy as np

from al_plugin.axes import Floats, FloatsL, FloatsLD, FloatsN, FloatsND, Ints


def far_in_inputs(points: FloatsND, labeled: FloatsLD, n: int) -> Ints:
    """GSx: argmax_i min_m ‖x_i - x_m‖ over labelled and picked m; without any m the row nearest to the mean first."""
    none: FloatsN = np.zeros(0)
    return _greedy(points.astype(np.float64), None, labeled.astype(np.float64), none, n)


def far_in_outputs(values: FloatsN, answers: FloatsL, n: int) -> Ints:
    """GSy: argmax_i min_m |f(x_i) - y_m|, y_m the answer of a labelled m, and of a picked one the prediction f(x_m)."""
    return _greedy(None, values.astype(np.float64), None, answers.astype(np.float64), n)


def far_in_both(points: FloatsND, values: FloatsN, labeled: FloatsLD, answers: FloatsL, n: int) -> Ints:
    """iGS: argmax_i min_m ‖x_i - x_m‖ |f(x_i) - y_m|; a picked m counts with its prediction."""
    return _greedy(
        points.astype(np.float64), values.astype(np.float64), labeled.astype(np.float64), answers.astype(np.float64), n
    )


def _greedy(points: Floats | None, values: FloatsN | None, labeled: Floats | None, answers: FloatsN, n: int) -> Ints:
    """Repeatedly the candidate whose least distance to what is labelled or picked is largest; ties to the first."""
    size = len(points) if points is not None else len(values) if values is not None else 0
    known = len(labeled) if labeled is not None else len(answers)
    nearest = np.full(size, np.inf)
    for m in range(known):
        at = None if labeled is None else labeled[m]
        nearest = np.minimum(nearest, _distance(points, values, at, answers[m] if len(answers) else 0.0))
    picks = np.empty(n, dtype=np.int64)
    free = np.ones(size, dtype=np.bool_)
    for k in range(n):
        if k == 0 and known == 0:
            picks[k] = _central(points, values)
        else:
            picks[k] = np.where(free, nearest, -1.0).argmax()
        free[picks[k]] = False
        at = None if points is None else points[picks[k]]
        nearest = np.minimum(nearest, _distance(points, values, at, 0.0 if values is None else values[picks[k]]))
    return picks


def _distance(points: Floats | None, values: FloatsN | None, at: Floats | None, value: float) -> FloatsN:
    """Distance (N,) of every candidate to one sample: in inputs, in outputs, or their product."""
    found: FloatsN = np.ones(1)
    if points is not None and at is not None:
        gap = points - at
        found = np.sqrt(np.einsum("nd,nd->n", gap, gap))
    return found if values is None else found * np.abs(values - value)


def _central(points: Floats | None, values: FloatsN | None) -> int:
    """The row nearest to the mean of all."""
    rows = points if points is not None else np.asarray(values)[:, None]
    gap = rows - rows.mean(axis=0)
    return int(np.einsum("nd,nd->n", gap, gap).argmin())
