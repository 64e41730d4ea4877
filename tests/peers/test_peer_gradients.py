"""Gradient and contrastive strategies beside other libraries, where those are right."""

import numpy as np
import pytest
from beside import dirichlet, logs, needs, pick, score, shims

pytestmark = pytest.mark.peers

N, LABELED, CLASSES, DIM = 140, 25, 4, 6
PROBS = dirichlet(N + LABELED, classes=CLASSES, seed=2)
POINTS = np.random.default_rng(3).normal(size=(N + LABELED, DIM))
IDS = np.arange(N + LABELED)[:, None].astype(float)
ANSWERS = np.concatenate([np.full(N, np.nan), np.arange(LABELED) % CLASSES])


@pytest.mark.parametrize("neighbours", [1, 10, 25])
def test_cal(neighbours):
    """scikit-activeml cuts p at 1e-7, so the smallest probabilities are kept above that."""
    needs("scikit-activeml")
    probs = np.maximum(PROBS, 1e-5)
    probs /= probs.sum(axis=1, keepdims=True)
    pool = shims.load("skactiveml.pool")
    theirs = pool.ContrastiveAL(nearest_neighbors_dict={"n_neighbors": neighbours}, clf_embedding_flag_name=None)
    _, scores = theirs.query(
        IDS, ANSWERS, shims.skactiveml_classifier(probs, POINTS), fit_clf=False, return_utilities=True
    )
    signals = {
        "log_probs": logs(probs[:N]),
        "embeddings": POINTS[:N],
        "labeled_log_probs": logs(probs[N:]),
        "labeled_embeddings": POINTS[N:],
    }
    np.testing.assert_allclose(score("cal", signals, neighbours=neighbours), scores[0][:N], rtol=1e-6, atol=1e-9)


def gradients(probs, points):
    """Gradients of the last layer at the predicted label, with bias, formed."""
    residual = probs - np.eye(probs.shape[1])[probs.argmax(axis=1)]
    inputs = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    return (residual[:, :, None] * inputs[:, None, :]).reshape(len(points), -1)


def badge_signals(size):
    return {"log_probs": logs(PROBS[:size]), "embeddings": POINTS[:size]}


def badge_skactiveml(size, b):
    """Picks and (b, N) chances of scikit-activeml's Badge on inputs [h, 1]."""
    inputs = np.concatenate([POINTS[:size], np.ones((size, 1))], axis=1)
    classifier = shims.skactiveml_classifier(PROBS[:size], inputs)
    badge = shims.load("skactiveml.pool").Badge(random_state=0, clf_embedding_flag_name=None)
    empty = np.full(size, np.nan)
    return badge.query(IDS[:size], empty, classifier, fit_clf=False, batch_size=b, return_utilities=True)


def test_badge_first_pick():
    """The longest gradient."""
    needs("scikit-activeml")
    picks, _ = badge_skactiveml(N, 1)
    assert pick("badge", badge_signals(N), 1) == list(map(int, picks))


def chi_square(counts, chances):
    expected = chances * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


def test_badge_law():
    """Second picks follow D² to the first, the law of scikit-learn's k-means++ with one local trial."""
    from sklearn.cluster import kmeans_plusplus

    size, runs = 12, 1500
    g = gradients(PROBS[:size], POINTS[:size])
    first = int((g**2).sum(axis=1).argmax())
    squared = ((g - g[first]) ** 2).sum(axis=1)
    chances = np.delete(squared / squared.sum(), first)
    ours = np.array([pick("badge", badge_signals(size), 2, seed)[1] for seed in range(runs)])
    assert chi_square(np.bincount(ours, minlength=size)[np.arange(size) != first], chances) < 31.3  # 10 dof, p = 0.0005
    theirs = []
    for seed in range(6 * runs):
        picks = kmeans_plusplus(g, 2, random_state=seed, n_local_trials=1)[1]
        if picks[0] == first:  # its first pick is uniform
            theirs.append(picks[1])
    assert len(theirs) > 500
    assert chi_square(np.bincount(theirs, minlength=size)[np.arange(size) != first], chances) < 31.3
