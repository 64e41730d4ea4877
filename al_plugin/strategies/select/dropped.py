"""Samples whose prediction does not survive the loss of features."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsNC, FloatsND, IntsN, IntsTN, Picks
from al_plugin.math.representatives import nearest_to_centers
from al_plugin.math.submodular import unit_rows
from al_plugin.strategies.registry import Range, strategy


@strategy(
    "drop_query",
    reference="Gupte, Aklilu, Nirschl, Yeung-Levy (2024)",
    cost="T forward passes of the pool for the signal, then O(M n D) per k-means iteration over M candidates",
    use="Features of a foundation model and a light head: unsure samples, spread out.",
)
def drop_query(
    log_probs: FloatsNC,
    dropped_labels: IntsTN,
    frozen_embeddings: FloatsND,
    n: int,
    rng: np.random.Generator,
    *,
    factor: Annotated[float, Range(1, None)] = 25.0,
) -> Picks:
    """Of the samples whose predicted class changes in many passes with dropped features, a diverse batch.

    A sample is eligible if its class differs from argmax_c p_c in more than a third of the T passes (the
    paper: more than one of three); while fewer than ``factor`` n are, one pass less is asked for, down to
    one. n clusters by k-means of the unit embeddings of those, from each the sample nearest its center,
    most changes first. Where fewer than n are eligible all are taken, then others at random.
    """
    # Where several classes tie as the best none of them is a change, however they are numbered.
    kept = np.take_along_axis(log_probs, dropped_labels.T, axis=1) == log_probs.max(axis=1, keepdims=True)
    changes = (~kept).sum(axis=1)
    eligible = often_changed(changes, len(dropped_labels), factor * n)
    if len(eligible) <= n:
        others = rng.permutation(np.setdiff1d(np.arange(len(changes)), eligible))
        return np.concatenate([eligible, others])[:n]
    picks: Picks = eligible[nearest_to_centers(unit_rows(frozen_embeddings[eligible]), n, rng)]
    return picks


def often_changed(changes: IntsN, passes: int, wanted: float) -> Picks:
    """Positions that changed in more than a third of the passes, or in fewer until ``wanted`` are found.

    ``changes`` (N,) of ``passes``; positions by number of changes, most first, ties to the first position.
    """
    needed = passes // 3 + 1
    while needed > 1 and (changes >= needed).sum() < wanted:
        needed -= 1
    most = np.argsort(-changes, kind="stable")
    chosen: Picks = most[changes[most] >= needed]
    return chosen
