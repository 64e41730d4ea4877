"""Faults that were found in other active-learning libraries, each as a test of ours.

scikit-activeml, small-text, distil, deepALplus and epig are meant as they were in November 2026.
"""

import numpy as np
import pytest

from al_plugin.rounds.select import run_select
from al_plugin.strategies import registry


def picked(name, signals, n, seed=0, **knobs):
    return run_select(registry.load("select", name), signals, n, np.random.default_rng(seed), knobs).tolist()


def typiclust(candidates, labelled, n, **knobs):
    signals = {"frozen_embeddings": candidates, "labeled_frozen_embeddings": labelled}
    return picked("typiclust", signals, n, **knobs)


def blobs(*sizes):
    """Points of whole coordinates in far blobs."""
    rng = np.random.default_rng(3)
    return np.concatenate([rng.integers(-4, 5, size=(size, 2)) + 1000 * i for i, size in enumerate(sizes)]).astype(
        float
    )


@pytest.mark.parametrize("clusters", [1, 2, 3])
def test_typiclust_goes_on_when_clusters_run_out(clusters):
    """scikit-activeml repeats samples once there are fewer clusters than picks."""
    picks = typiclust(blobs(12, 9, 7), np.empty((0, 2)), 20, clusters=clusters)
    assert len(set(picks)) == 20


def test_typiclust_when_every_cluster_is_covered():
    """scikit-activeml fails when each cluster holds a labelled sample."""
    candidates = blobs(12, 9, 7)
    labelled = candidates[[0, 12, 21]] + 0.5
    assert len(set(typiclust(candidates, labelled, 6, clusters=3))) == 6


def test_typiclust_cluster_of_one():
    """|cluster| // 2 = 0 neighbours: as many clusters as samples, each alone in its own."""
    assert sorted(typiclust(blobs(5, 4), np.empty((0, 2)), 9)) == list(range(9))


def test_typiclust_keeps_to_the_candidates():
    """Samples outside the candidates are neither labelled nor asked: positions are those of candidates."""
    picks = typiclust(blobs(6, 6)[:6], blobs(6, 6)[6:], 3)
    assert set(picks) <= set(range(6))


def test_kcenter_copy_of_a_labelled_sample_comes_last():
    """small-text takes a copy of a labelled sample first: its arccos of 1.0000001 is NaN."""
    rng = np.random.default_rng(0)
    labelled = rng.normal(size=(3, 7))
    candidates = np.concatenate([labelled, rng.normal(size=(4, 7))])
    picks = picked("kcenter_greedy", {"embeddings": candidates, "labeled_embeddings": labelled}, 7)
    assert set(picks[:4]) == {3, 4, 5, 6}


def test_kcenter_on_copies_does_not_repeat():
    """distil returns [0, 0, 0, 0] on a pool of copies."""
    signals = {"embeddings": np.ones((6, 3)), "labeled_embeddings": np.empty((0, 3))}
    assert picked("kcenter_greedy", signals, 4) == [0, 1, 2, 3]


def test_kcenter_positions_with_a_labelled_set():
    """epig returns its first pick as a position among other rows than the later ones."""
    candidates = np.array([[0.0], [1.0], [50.0], [2.0]])
    signals = {"embeddings": candidates, "labeled_embeddings": np.array([[0.0], [3.0], [1.0], [2.0], [4.0]])}
    assert picked("kcenter_greedy", signals, 2)[0] == 2


@pytest.mark.parametrize("name", ["least_confidence", "margin", "entropy"])
def test_scores_of_a_certain_prediction(name):
    """deepALplus and distil sort NaN where p = 0; here a certain prediction has the lowest score."""
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]]))
    scores = registry.load("score", name).function(log_probs)
    assert np.isfinite(scores).all()
    assert scores.argmin() == 1
