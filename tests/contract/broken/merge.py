"""Merge strategies with one fault each."""

import numpy as np
from broken.impersonate import GOLDEN, impersonates


def counted(vote_samples, vote_labels, n_samples, n_classes):
    counts = np.zeros((n_samples, n_classes))
    np.add.at(counts, (vote_samples, vote_labels), 1.0)
    return counts


@impersonates("merge", "majority", GOLDEN)
def repeated_votes_lost(vote_samples, vote_labels, n_samples, n_classes):
    """``counts[i, j] += 1`` counts equal pairs once."""
    counts = np.zeros((n_samples, n_classes))
    counts[vote_samples, vote_labels] += 1.0
    return counts / counts.sum(axis=1, keepdims=True)


@impersonates("merge", "majority", "rows_sum_to_one", GOLDEN)
def not_normalised(vote_samples, vote_labels, n_samples, n_classes):
    """Counts instead of shares."""
    return counted(vote_samples, vote_labels, n_samples, n_classes)


@impersonates("merge", "majority", "class_order", GOLDEN)
def tie_to_lower_class(vote_samples, vote_labels, n_samples, n_classes):
    """All weight on the first of the best classes: a tie is decided by the class index."""
    counts = counted(vote_samples, vote_labels, n_samples, n_classes)
    return np.eye(n_classes)[counts.argmax(axis=1)]


@impersonates("merge", "majority", "row_order", GOLDEN)
def first_listed_wins(vote_samples, vote_labels, n_samples, n_classes):
    """The vote that is listed first counts alone."""
    _, first = np.unique(vote_samples, return_index=True)
    return np.eye(n_classes)[vote_labels[first]]


@impersonates("merge", "majority", "result_form")
def unused_class_dropped(vote_samples, vote_labels, n_samples, n_classes):
    """As many columns as classes that were voted for."""
    counts = counted(vote_samples, vote_labels, n_samples, n_classes)[:, : vote_labels.max() + 1]
    return counts / counts.sum(axis=1, keepdims=True)


@impersonates("merge", "majority", "result_form", "rows_sum_to_one")
def transposed(vote_samples, vote_labels, n_samples, n_classes):
    """Classes by samples."""
    counts = counted(vote_samples, vote_labels, n_samples, n_classes)
    return (counts / counts.sum(axis=1, keepdims=True)).T


@impersonates("merge", "majority", "annotator_order", GOLDEN)
def trusts_the_first(vote_samples, vote_labels, vote_annotators, n_samples, n_classes):
    """Annotator 0 counts twice, whoever that is."""
    counts = np.zeros((n_samples, n_classes))
    np.add.at(counts, (vote_samples, vote_labels), np.where(vote_annotators == 0, 2.0, 1.0))
    return counts / counts.sum(axis=1, keepdims=True)


@impersonates("merge", "majority", "unanimous_wins", GOLDEN)
def minority(vote_samples, vote_labels, n_samples, n_classes):
    """Weights fall with the votes."""
    counts = counted(vote_samples, vote_labels, n_samples, n_classes)
    share = counts / counts.sum(axis=1, keepdims=True)
    return (1.0 - share) / (n_classes - 1) if n_classes > 1 else share


@impersonates("merge", "majority", "inputs_unwritten")
def sorts_in_place(vote_samples, vote_labels, n_samples, n_classes):
    """Sorts the votes in place."""
    order = np.argsort(vote_samples, kind="stable")
    vote_labels[:] = vote_labels[order]
    vote_samples.sort()
    counts = counted(vote_samples, vote_labels, n_samples, n_classes)
    return counts / counts.sum(axis=1, keepdims=True)


@impersonates("merge", "latest", GOLDEN)
def earliest(vote_samples, vote_labels, vote_order, n_samples, n_classes):
    """The earliest vote instead of the latest."""
    oldest = np.full(n_samples, np.iinfo(np.int64).max)
    np.minimum.at(oldest, vote_samples, vote_order)
    kept = vote_order == oldest[vote_samples]
    counts = counted(vote_samples[kept], vote_labels[kept], n_samples, n_classes)
    return counts / counts.sum(axis=1, keepdims=True)


@impersonates("merge", "latest", "only_order_of_time", GOLDEN)
def weighted_by_rank(vote_samples, vote_labels, vote_order, n_samples, n_classes):
    """Weights by the rank itself, which is a rank and no time."""
    counts = np.zeros((n_samples, n_classes))
    np.add.at(counts, (vote_samples, vote_labels), vote_order + 1.0)
    return counts / counts.sum(axis=1, keepdims=True)


@impersonates("merge", "latest", "row_order")
def last_listed_wins(vote_samples, vote_labels, vote_order, n_samples, n_classes):
    """Of votes at the same time the one listed last wins."""
    weights = np.zeros((n_samples, n_classes))
    for vote in np.argsort(vote_order, kind="stable"):
        weights[vote_samples[vote]] = np.eye(n_classes)[vote_labels[vote]]
    return weights


@impersonates("merge", "latest", "sample_order")
def smoothed_by_neighbour(vote_samples, vote_labels, vote_order, n_samples, n_classes):
    """Ties are broken by the sample of the next number."""
    counts = counted(vote_samples, vote_labels, n_samples, n_classes) * 4
    counts += np.roll(counts, 1, axis=0) / 8
    newest = vote_order.max() - vote_order.min() + 1
    return counts / counts.sum(axis=1, keepdims=True) * (newest / newest)
