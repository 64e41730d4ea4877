"""Which labelled samples are held out of a training."""

import numpy as np

from al_plugin.axes import Ints, IntsN


def stratified_holdout(labels: IntsN, share: float, rng: np.random.Generator) -> Ints:
    """Ascending positions of about ``share`` of the labels (L,), every class by its own share.

    Classes with a single label keep it. Of the others, together M labels, round(share · M) are held
    out, at least one: class c gives ⌊share · n_c⌋, and one more where the remainder is largest (ties
    by ``rng``); a class keeps at least one. Empty where no class has two labels.
    """
    classes, counts = np.unique(labels, return_counts=True)
    classes, counts = classes[counts > 1], counts[counts > 1]
    if len(classes) == 0:
        return np.empty(0, dtype=np.int64)
    quota = share * counts
    # A product such as 0.29 · 100 falls short of its whole number by rounding.
    given = np.floor(quota + 1e-9).astype(np.int64)
    total = max(1, round(share * int(counts.sum())))
    order = np.lexsort((rng.random(len(classes)), given - quota))
    given[order[: max(0, total - int(given.sum()))]] += 1
    given = np.minimum(given, counts - 1)
    drawn = [
        rng.permutation(np.flatnonzero(labels == one))[:number] for one, number in zip(classes, given, strict=True)
    ]
    return np.sort(np.concatenate(drawn))
