"""Selection via proxy: how alike two networks rank, and a core-set by forgetting."""

import numpy as np

from al_plugin.axes import FloatsN, IntsN


def rank_correlation(first: FloatsN, second: FloatsN) -> float:
    """Spearman's correlation of two vectors (N,), ties at their mean rank; range [-1, 1].

    1 for any increasing map of one to the other; NaN where one is constant. Source: Spearman (1904).
    """
    a, b = (_centred_ranks(values) for values in (first, second))
    # The root of the product, not the product of roots: equal ranks give 1 exactly.
    scale = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / scale, -1.0, 1.0)) if scale > 0 else float("nan")


def forgetting_coreset(forgotten: IntsN, never_learned: np.ndarray, labels: IntsN, n: int) -> IntsN:
    """Positions of the ``n`` labelled samples to keep, most forgotten first; ties go to the first position.

    ``forgotten`` (L,) counts forgetting events; ``never_learned`` (L,) of bool counts as infinitely
    many. No class is lost: the most forgotten sample of each class of ``labels`` (L,) comes before
    any second one, where n would leave it out; with n below the number of classes there is one of
    each. n <= L. Source: Toneva et al. (2019); Coleman et al. (2020); the classes are ours.
    """
    events = np.where(never_learned, np.inf, forgotten.astype(np.float64))
    order: IntsN = np.argsort(-events, kind="stable")
    first = np.unique(labels[order], return_index=True)[1]
    others = np.setdiff1d(np.arange(len(order)), first)
    kept: IntsN = order[np.sort(np.concatenate([first, others[: max(n - len(first), 0)]]))]
    return kept


def _centred_ranks(values: FloatsN) -> FloatsN:
    """Mean ranks minus their mean, (N,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: FloatsN = (np.cumsum(counts) - (counts + 1) / 2.0)[inverse]
    centred: FloatsN = ranks - (len(values) - 1) / 2.0
    return centred
