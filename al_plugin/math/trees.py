"""Decision trees as arrays: walk them, and floor the probabilities of what they never saw."""

from collections.abc import Iterator
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

    def leaves(self, features: Floats) -> Iterator[tuple[slice, Ints]]:
        """Blocks of rows (N, width) float32, and the node in which each tree's walk of each row ends, (T, rows)."""
        # Indices of the machine's own width and comparisons in float32 are fastest; both are exact.
        feature, threshold = self.feature.astype(np.intp), rounded_down(self.threshold)
        children = np.stack([self.left, self.right], axis=1).astype(np.intp).ravel()
        for start in range(0, len(features), _ROWS):
            block = np.ascontiguousarray(features[start : start + _ROWS], dtype=np.float32)
            flat, first = block.ravel(), np.arange(len(block)) * features.shape[1]
            node: Ints = np.repeat(self.roots.astype(np.intp)[:, None], len(block), axis=1)
            while True:
                goes_right = flat.take(feature.take(node) + first) > threshold.take(node)
                after = children.take(2 * node + goes_right)
                if np.array_equal(after, node):
                    break
                node = after
            yield slice(start, start + len(block)), node


def rounded_down(values: Floats) -> Floats:
    """The largest float32 that is at most each float64: x <= v holds for the same x of float32."""
    near: Floats = values.astype(np.float32)
    return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)


def mean_probabilities(trees: Trees, features: Floats) -> Floats:
    """Mean over trees of the class shares in the leaf that a row reaches: (N, S) of features (N, width)."""
    found = np.zeros((len(features), trees.value.shape[1]))
    for rows, leaves in trees.leaves(features):
        # Tree by tree: T x N x S is never held, and the order of the sum is fixed.
        for leaf in leaves:
            found[rows] += trees.value[leaf]
    found /= len(trees.roots)
    return found


def tree_probabilities(trees: Trees, features: Floats) -> Floats:
    """Class shares in the leaf that a row reaches in each tree: (T, N, S) of features (N, width)."""
    found = np.empty((len(trees.roots), len(features), trees.value.shape[1]))
    for rows, leaves in trees.leaves(features):
        found[:, rows] = trees.value[leaves]
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
