"""Strategies of scikit-activeml and small-text as arms of a simulation, on the very signals that ours get.

python benchmarks/auto.py --data FOLDER --only "digits, middle" --beside margin single+theirs:ska_margin+top ...

Run where the libraries are installed (make oracles). Where one of them returns a sample twice the query is filled
up with the first candidates, which is what their users would have to do.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from peer_items import centers, gradients, scores, shims

from al_plugin.axes import FloatsN, FloatsNC, FloatsND, Ints
from al_plugin.strategies.registry import strategy

_CARD = {"reference": "peer", "cost": "theirs", "use": "A peer beside ours."}


@strategy("ska_margin", **_CARD)
def ska_margin(log_probs: FloatsNC) -> FloatsN:
    """scikit-activeml's margin."""
    return np.asarray(scores.skactiveml("margin_sampling")({"log_probs": log_probs})(0), dtype=np.float64)


@strategy("ska_entropy", **_CARD)
def ska_entropy(log_probs: FloatsNC) -> FloatsN:
    """scikit-activeml's entropy."""
    return np.asarray(scores.skactiveml("entropy")({"log_probs": log_probs})(0), dtype=np.float64)


@strategy("st_margin", **_CARD)
def st_margin(log_probs: FloatsNC) -> FloatsN:
    """small-text's breaking ties: low is uncertain."""
    return -np.asarray(scores.small_text("BreakingTies")({"log_probs": log_probs})(0), dtype=np.float64)


@strategy("st_entropy", **_CARD)
def st_entropy(log_probs: FloatsNC) -> FloatsN:
    """small-text's prediction entropy, with its minus sign taken off."""
    return -np.asarray(scores.small_text("PredictionEntropy")({"log_probs": log_probs})(0), dtype=np.float64)


@strategy("ska_coreset", **_CARD)
def ska_coreset(embeddings: FloatsND, labeled_embeddings: FloatsND, n: int) -> Ints:
    """scikit-activeml's greedy k-center."""
    given = {"embeddings": embeddings, "labeled_embeddings": labeled_embeddings}
    return _distinct(centers.skactiveml(given)(n), n)


@strategy("st_coreset", **_CARD)
def st_coreset(embeddings: FloatsND, labeled_embeddings: FloatsND, n: int) -> Ints:
    """small-text's greedy core-set."""
    given = {"embeddings": embeddings, "labeled_embeddings": labeled_embeddings}
    return _distinct(centers.small_text(given)(n), n)


@strategy("ska_badge", **_CARD)
def ska_badge(log_probs: FloatsNC, embeddings: FloatsND, n: int) -> Ints:
    """scikit-activeml's BADGE, which is biased and may repeat itself."""
    return _distinct(gradients.badge_skactiveml({"log_probs": log_probs, "embeddings": embeddings})(n), n)


@strategy("ska_typiclust", **_CARD)
def ska_typiclust(frozen_embeddings: FloatsND, n: int) -> Ints:
    """scikit-activeml's TypiClust on the candidates."""
    pool = shims.load("skactiveml.pool")
    points = frozen_embeddings.astype(np.float64)
    found = pool.TypiClust(random_state=0).query(points, np.full(len(points), np.nan), batch_size=n)
    return _distinct(found, n)


def _distinct(found: Ints, n: int) -> Ints:
    """The picks without repetitions, filled up with the first others."""
    picks = list(dict.fromkeys(np.asarray(found, dtype=np.int64).tolist()))
    others = iter(set(range(n + len(picks))) - set(picks))
    return np.array([*picks, *(next(others) for _ in range(n - len(picks)))][:n], dtype=np.int64)
