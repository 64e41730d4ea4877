"""Correct strategies written differently: the contract must let them pass."""

import numpy as np
from broken.impersonate import impersonates


@impersonates("score", "margin")
def by_sorting(log_probs):
    """Margin by a full sort."""
    if log_probs.shape[1] < 2:
        raise ValueError("two classes at least")
    ordered = np.sort(np.exp(log_probs.astype(np.float64)), axis=1)
    return ordered[:, -2] - ordered[:, -1]


@impersonates("select", "kcenter_greedy")
def by_loops(embeddings, labeled_embeddings, n):
    """k-center by comparing every pair anew at every step."""
    points = embeddings.astype(np.float64)
    known = list(labeled_embeddings.astype(np.float64))
    picks: list[int] = []
    for _ in range(n):
        if known:
            gaps = np.array([min(((point - one) ** 2).sum() for one in known) for point in points])
        else:
            gaps = -((points - points.mean(axis=0)) ** 2).sum(axis=1)
        gaps[picks] = -np.inf
        picks.append(int(np.argmax(gaps)))
        known.append(points[picks[-1]])
    return np.array(picks)


@impersonates("select", "random")
def by_keys(sample_keys, n, rng):
    """A uniform draw by one random number per candidate."""
    return np.argsort(rng.random(len(sample_keys)), kind="stable")[:n]


@impersonates("merge", "majority")
def by_counting(vote_samples, vote_labels, n_samples, n_classes):
    """Majority by a loop over the votes."""
    weights = np.zeros((n_samples, n_classes))
    for sample, label in zip(vote_samples, vote_labels, strict=True):
        weights[sample, label] += 1.0 / (vote_samples == sample).sum()
    return weights
