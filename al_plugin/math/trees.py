"""Decision trees as arrays: walk them, and floor the probabilities of what they never saw."""

from dataclasses import dataclass

import numpy as np

from al_plugin.axes import Floats, Ints

# Rows walked at a time: the nodes of all trees for that many rows stay in the cache.
_ROWS = 1024
# No probability is 0 in a logarithm: the floor of scikit-learn's log loss for float32 predictions, 2^-23.
FLOOR = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Trees:
    """T decision trees, one after the other: ``roots`` (T,), the rest (nodes,) and ``value`` (nodes, S).

    A node sends a row to ``left`` where its ``feature`` is at most ``threshold``, else to ``right``;
    a leaf sends it to itself. ``value`` holds the shares of S classes among a node's training rows.
    """

    roots: Ints
    left: Ints
    right: Ints
    feature: Ints
    threshold: Floats
    value: Floats

    def leaves(self, features: Floats) -> Ints:
        """Node in which each tree's walk of each row ends, (T, N)."""
        rows = np.arange(len(features))
        node: Ints = np.repeat(self.roots[:, None], len(features), axis=1)
        while True:
            goes_left = features[rows, self.feature[node]] <= self.threshold[node]
            after = np.where(goes_left, self.left[node], self.right[node])
            if np.array_equal(after, node):
                return node
            node = after


def mean_probabilities(trees: Trees, features: Floats) -> Floats:
    """Mean over trees of the class shares in the leaf that a row reaches: (N, S) of features (N, width)."""
    found = np.zeros((len(features), trees.value.shape[1]))
    for start in range(0, len(features), _ROWS):
        rows = slice(start, start + _ROWS)
        # Tree by tree: T x N x S is never held, and the order of the sum is fixed.
        for leaves in trees.leaves(features[rows]):
            found[rows] += trees.value[leaves]
    found /= len(trees.roots)
    return found


def tree_probabilities(trees: Trees, features: Floats) -> Floats:
    """Class shares in the leaf that a row reaches in each tree: (T, N, S) of features (N, width)."""
    found = np.empty((len(trees.roots), len(features), trees.value.shape[1]))
    for start in range(0, len(features), _ROWS):
        rows = slice(start, start + _ROWS)
        found[:, rows] = trees.value[trees.leaves(features[rows])]
    return found


def floored_log(probabilities: Floats, seen: Ints, classes: int) -> Floats:
    """log p over all ``classes`` from p over the classes ``seen``: (..., C) float32 from (..., S).

    A class never seen has p = 0. Every p is raised to 2^-23 at least and the sum brought back to 1, so
    that no log-probability is below -15.95 nats and entropies and log losses stay finite.
    """
    full = np.zeros((*probabilities.shape[:-1], classes))
    full[..., seen] = probabilities
    np.maximum(full, FLOOR, out=full)
    full /= full.sum(axis=-1, keepdims=True)
    log_probs: Floats = np.log(full, out=full).astype(np.float32)
    return log_probs
