"""Forests of decision trees, kept as plain arrays: no scikit-learn object is stored or loaded."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from al_plugin.axes import Floats
from al_plugin.math.trees import Trees, floored_log, mean_probabilities, tree_probabilities
from al_plugin.models.fitted_once import fitting, once, pool_scale, scaled, sklearn_seed
from al_plugin.models.task import Description, Fitted, TrainingTask


def fitted_forest(
    task: TrainingTask, form: type, trees: int, max_depth: int, min_samples_leaf: int, max_features: str
) -> Fitted:
    """Fit ``form`` (a forest classifier of scikit-learn) and take its trees apart.

    ``max_depth`` 0: no limit; ``max_features`` sqrt, log2 or all.
    """
    forest = form(
        n_estimators=trees,
        max_depth=max_depth or None,
        min_samples_leaf=min_samples_leaf,
        max_features=None if max_features == "all" else max_features,
        random_state=sklearn_seed(task.seed),
    )
    features = task.features.astype(np.float32, copy=False)
    with fitting(task.seed, task.threads):
        forest.fit(features, task.labels)
    weights = _arrays(forest) | pool_scale(task.pool_features)
    network: Description = {"kind": "forest", "width": features.shape[1], "classes": task.n_classes, "members": trees}
    return once(task, weights, network, forest_signals({"network": network}, weights, features)[0])


def forest_signals(
    card: Mapping[str, Any], weights: Mapping[str, np.ndarray], features: Floats
) -> tuple[Floats, Floats]:
    """Log of the trees' mean probabilities (N, C), and standardised features (N, width)."""
    mean = mean_probabilities(_trees(weights), features.astype(np.float32, copy=False))
    log_probs = floored_log(mean, weights["seen"], int(card["network"]["classes"]))
    return log_probs, scaled(weights, features).astype(np.float32)


def tree_log_probs(card: Mapping[str, Any], weights: Mapping[str, np.ndarray], features: Floats) -> Floats:
    """Log-probabilities of each tree, (T, N, C)."""
    each = tree_probabilities(_trees(weights), features.astype(np.float32, copy=False))
    return floored_log(each, weights["seen"], int(card["network"]["classes"]))


def _arrays(forest: Any) -> dict[str, np.ndarray]:
    """The trees as arrays of safetensors' types, with nodes counted over all trees."""
    each = [one.tree_ for one in forest.estimators_]
    sizes = [tree.node_count for tree in each]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    at = np.arange(sum(sizes), dtype=np.int32)
    root = np.repeat(roots, sizes)
    joined = {name: np.concatenate([getattr(tree, name) for tree in each]) for name in _OF_A_TREE}
    leaf = joined["children_left"] < 0
    return {
        "trees.roots": roots,
        "trees.left": np.where(leaf, at, root + joined["children_left"]).astype(np.int32),
        "trees.right": np.where(leaf, at, root + joined["children_right"]).astype(np.int32),
        "trees.feature": np.where(leaf, 0, joined["feature"]).astype(np.int32),
        "trees.threshold": np.where(leaf, 0.0, joined["threshold"]),
        "trees.value": joined["value"][:, 0, :],
        "seen": forest.classes_.astype(np.int64),
    }


_OF_A_TREE = ("children_left", "children_right", "feature", "threshold", "value")


def _trees(weights: Mapping[str, np.ndarray]) -> Trees:
    return Trees(**{name: weights[f"trees.{name}"] for name in Trees.__dataclass_fields__})
