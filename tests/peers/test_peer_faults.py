"""Verified faults of other libraries: ours is right, and theirs differs, so that we see when they mend it.

Each test first holds ours to the property, then, where the library is installed, shows that it fails there.
"""

import numpy as np
import pytest
import torch
from beside import dirichlet, logs, needs, pick, score, shims

pytestmark = pytest.mark.peers


def skactiveml_pool():
    needs("scikit-activeml")
    return shims.load("skactiveml.pool")


def unlabeled(n):
    return np.full(n, np.nan)


def ids(n):
    return np.arange(n)[:, None].astype(float)


def embedded(points):
    none = points[:0]
    return {
        "embeddings": points,
        "labeled_embeddings": none,
        "frozen_embeddings": points,
        "labeled_frozen_embeddings": none,
    }


def badge_skactiveml(probs, points, b):
    pool = skactiveml_pool()
    badge = pool.Badge(random_state=0, clf_embedding_flag_name=None)
    classifier = shims.skactiveml_classifier(probs, points)
    n = len(points)
    return badge.query(ids(n), unlabeled(n), classifier, fit_clf=False, batch_size=b, return_utilities=True)


def test_badge_repeats_nothing_on_copies():
    """scikit-activeml 1.0.1 picks copies by their position again."""
    probs, points = dirichlet(6, seed=1)[[0, 1, 2, 3, 4, 5] * 3], np.random.default_rng(1).normal(size=(6, 3))
    points = points[[0, 1, 2, 3, 4, 5] * 3]
    ours = pick("badge", {"log_probs": logs(probs), "embeddings": points}, 12)
    assert len(set(ours)) == 12
    theirs, _ = badge_skactiveml(probs, points, 12)
    assert len(set(theirs)) < 12


def test_badge_second_pick_forgets_the_origin():
    """scikit-activeml 1.0.1 keeps the norm as a distance, as if a center stood at the origin."""
    probs, points = dirichlet(30, seed=2), np.random.default_rng(2).normal(size=(30, 4)) + 3.0
    gradients = ((probs - np.eye(4)[probs.argmax(axis=1)])[:, :, None] * points[:, None, :]).reshape(30, -1)
    picks, chances = badge_skactiveml(probs, points, 2)
    squared = ((gradients - gradients[picks[0]]) ** 2).sum(axis=1)
    law = squared / squared.sum()
    assert np.nanmax(np.abs(chances[1] - law)) > 0.1 * law.max()


def test_typiclust_repeats_nothing():
    """scikit-activeml repeats samples when there are fewer clusters with members than picks."""
    points = np.repeat(np.eye(4), 10, axis=0)
    ours = pick("typiclust", embedded(points), 12)
    assert len(set(ours)) == 12
    pool = skactiveml_pool()
    theirs = pool.TypiClust(random_state=0).query(points, unlabeled(40), batch_size=12)
    assert len(set(theirs.tolist())) < 12


def test_typiclust_where_labels_cover_every_cluster():
    """scikit-activeml raises UnboundLocalError."""
    points = np.repeat(np.eye(3), 4, axis=0)
    labeled = np.arange(12) % 4 == 0
    signals = {"frozen_embeddings": points[~labeled], "labeled_frozen_embeddings": points[labeled]}
    assert len(set(pick("typiclust", signals, 2))) == 2
    pool = skactiveml_pool()
    with pytest.raises(UnboundLocalError):
        pool.TypiClust(random_state=0).query(points, np.where(labeled, 0.0, np.nan), batch_size=2)


def dense_and_lone():
    """Twenty samples in one place, not asked, one more beside them, and a lone one."""
    rng = np.random.default_rng(3)
    return np.concatenate([rng.normal(scale=0.01, size=(21, 2)), [[5.0, 5.0]]])


def test_prob_cover_takes_only_labels_for_covered():
    """scikit-activeml counts samples outside the candidates as labelled and so asks for the outlier."""
    pool = skactiveml_pool()
    theirs = pool.ProbCover(n_classes=2, deltas=[0.5], random_state=0)
    chosen = theirs.query(dense_and_lone(), unlabeled(22), candidates=np.array([20, 21]), batch_size=1)
    assert chosen.tolist() == [21]


def test_prob_cover_reads_its_points_again():
    """scikit-activeml keeps the distances of the first call for other points."""
    pool = skactiveml_pool()
    theirs = pool.ProbCover(n_classes=2, deltas=[0.5], random_state=0)
    points = dense_and_lone()
    theirs.query(points, unlabeled(22), batch_size=1)
    other = np.concatenate([np.eye(2, 2, 0) * 9, np.zeros((20, 2))]) + np.arange(22)[:, None] * [0, 1e-3]
    _, counts = theirs.query(other, unlabeled(22), batch_size=1, return_utilities=True)
    distances = np.linalg.norm(other[:, None] - other[None], axis=-1)
    assert not np.array_equal(counts[0], (distances <= 0.5).sum(axis=1))


@pytest.mark.parametrize("function", ["batch_bald", "average_kl_divergence"])
def test_committee_scores_leave_their_input(function):
    """scikit-activeml writes clipped values into the caller's array."""
    members = np.stack([np.eye(3), np.full((3, 3), 1 / 3)])
    given = logs(members)
    before = given.copy()
    given.flags.writeable = False
    assert np.isfinite(score("bald", {"mc_log_probs": given})).all()
    np.testing.assert_array_equal(given, before)
    pool = skactiveml_pool()
    before = members.copy()
    getattr(pool, function)(members, *((1,) if function == "batch_bald" else ()))
    assert not np.array_equal(members, before)


def test_batch_bald_with_few_configurations():
    """scikit-activeml returns NaN rows where it draws fewer configurations than there are members."""
    pool = skactiveml_pool()
    gains = pool.batch_bald(dirichlet(12, 20, classes=3), 3, n_MC_samples=4, random_state=0)
    assert np.isnan(gains).all(axis=1).any()


def certain_row(members, n):
    """Committee with one sample whose second class has no probability."""
    probs = dirichlet(members, n, classes=3, seed=5)
    probs[:, 0] = [1.0, 0.0, 0.0]
    return probs


def test_batch_bald_with_a_certain_sample():
    """One probability of 0 makes the whole batch of batchbald_redux NaN and its picks 0, 1, 2."""
    needs("batchbald_redux")
    members = certain_row(6, 30)
    batchbald = shims.load("batchbald_redux.batchbald")
    found = torch.tensor(logs(members.transpose(1, 0, 2)))
    theirs = batchbald.get_batchbald_batch(found, 3, 100, dtype=torch.double)
    assert np.isnan(theirs.scores).any()
    ours = pick("batch_bald", {"mc_log_probs": logs(members)}, 3)
    assert ours[0] == int(score("bald", {"mc_log_probs": logs(members)}).argmax())
    assert 0 not in ours


def test_bald_of_a_certain_sample():
    """batchbald_redux gives NaN where p = 0."""
    members = certain_row(6, 30)
    ours = score("bald", {"mc_log_probs": logs(members)})
    assert np.isfinite(ours).all()
    assert ours[0] == 0
    needs("batchbald_redux")
    batchbald = shims.load("batchbald_redux.batchbald")
    theirs = batchbald.compute_conditional_entropy(torch.tensor(logs(members.transpose(1, 0, 2))))
    assert torch.isnan(theirs).any()


def test_batch_bald_keeps_the_best_single_sample():
    """baal's BatchBALD takes one sample more and ranks the one with the most information last."""
    needs("baal")
    members = dirichlet(12, 40, classes=3, seed=6)
    heuristics = shims.load("baal.active.heuristics")
    torch.manual_seed(0)
    ranks = heuristics.BatchBALD(num_samples=5, num_draw=3000).get_ranks(members.transpose(1, 2, 0).copy())
    order = np.asarray(ranks[0] if isinstance(ranks, tuple) else ranks)
    best = int(score("bald", {"mc_log_probs": logs(members)}).argmax())
    assert best not in order[:5]
    assert pick("batch_bald", {"mc_log_probs": logs(members)}, 5)[0] == best


def test_power_prefers_uncertain_samples():
    """baal's PowerSampling of Margin prefers large margins, certain samples."""
    probs = dirichlet(400, classes=3, seed=7)
    margins = -score("margin", {"log_probs": logs(probs)})
    chosen = [pick("power", {"scores": 1 - margins}, 40, seed, beta=1.0) for seed in range(20)]
    assert margins[np.array(chosen)].mean() < margins.mean()
    needs("baal")
    stochastics = shims.load("baal.active.heuristics.stochastics")
    margin = shims.load("baal.active.heuristics").Margin()
    np.random.seed(0)  # noqa: NPY002 - baal draws from the global generator
    theirs = [
        np.asarray(stochastics.PowerSampling(margin, query_size=40).get_ranks(probs.copy())[0]) for _ in range(20)
    ]
    assert margins[np.stack(theirs)[:, :40]].mean() > margins.mean()


def test_kcenter_copy_of_a_label_comes_last():
    """small-text's cosine distance of a copy is NaN, and NaN is picked first."""
    rng = np.random.default_rng(0)
    labeled = rng.normal(size=(3, 7))
    candidates = np.concatenate([labeled, rng.normal(size=(4, 7))])
    ours = pick("kcenter_greedy", {"embeddings": candidates, "labeled_embeddings": labeled}, 7)
    assert set(ours[:4]) == {3, 4, 5, 6}
    needs("small-text")
    coresets = shims.load("small_text.query_strategies.coresets")
    with np.errstate(invalid="ignore"):
        theirs = coresets.greedy_coreset(np.concatenate([candidates, labeled]), np.arange(7), np.arange(7, 10), 7)
    assert set(theirs[:4].tolist()) & {0, 1, 2}


def greedy_reference(points, centers, b):
    """Farthest first, plainly."""
    picks = []
    for _ in range(b):
        reached = np.concatenate([centers, points[picks]])
        nearest = np.linalg.norm(points[:, None] - reached[None], axis=-1).min(axis=1)
        nearest[picks] = -1
        picks.append(int(nearest.argmax()))
    return picks


def test_kcenter_with_labels_in_front():
    """small-text takes positions among the candidates for rows of the data set."""
    points = np.random.default_rng(8).normal(size=(60, 3))
    candidates, labeled = points[10:], points[:10]
    expected = greedy_reference(candidates, labeled, 15)
    assert pick("kcenter_greedy", {"embeddings": candidates, "labeled_embeddings": labeled}, 15) == expected
    needs("small-text")
    coresets = shims.load("small_text.query_strategies.coresets")
    theirs = coresets.greedy_coreset(points, np.arange(10, 60), np.arange(10), 15, distance_metric="euclidean")
    assert theirs.tolist() != expected


def test_kcenter_without_labels():
    """small-text fails on an empty labelled set."""
    points = np.random.default_rng(9).normal(size=(20, 3))
    assert len(set(pick("kcenter_greedy", embedded(points), 5))) == 5
    needs("small-text")
    coresets = shims.load("small_text.query_strategies.coresets")
    with pytest.raises(ValueError, match=r"zero-size|reduction|array"):
        coresets.greedy_coreset(points, np.arange(20), np.array([], dtype=int), 5, distance_metric="euclidean")


def test_badge_gradient_is_zero_for_a_certain_sample():
    """small-text leaves the label's indicator out: its certain samples have the longest gradients."""
    probs = np.concatenate([dirichlet(20, classes=3, seed=10), [[1.0, 0.0, 0.0]]])
    points = np.ones((21, 4))
    assert pick("badge", {"log_probs": logs(probs), "embeddings": points}, 1) != [20]
    needs("small-text")
    strategies = shims.load("small_text.integrations.pytorch.query_strategies.strategies")
    theirs = strategies.BADGE(3).get_badge_embeddings(points, probs.copy())
    assert np.linalg.norm(theirs, axis=1).argmax() == 20


def test_entropy_of_disagreement_is_that_of_the_mean():
    """modAL's mc_dropout_max_entropy averages the members' entropies: 0 for full disagreement."""
    members = np.stack([np.eye(2), 1 - np.eye(2)])  # each sample: one member for each class
    ours = score("consensus_entropy", {"mc_log_probs": logs(members)})
    np.testing.assert_allclose(ours, np.log(2))
    needs("modAL")
    # modAL sums over members where it says classes; both are two here.
    theirs = shims.load("modAL.dropout")._entropy(list(members))
    assert (np.asarray(theirs) < 1e-6).all()


def test_modal_expected_error_needs_an_old_numpy():
    needs("modAL")
    with pytest.raises(AttributeError, match="float"):
        shims.load("modAL.expected_error")


def test_kcenter_cold_start_repeats_nothing():
    """modAL's ranked batch can take its first sample a second time."""
    points = np.concatenate([np.zeros((1, 2)), np.full((9, 2), 1e-9)])
    assert len(set(pick("kcenter_greedy", embedded(points), 3))) == 3
    needs("modAL")
    batch = shims.load("modAL.batch")

    class Unfitted:
        X_training = None
        on_transformed = False

    uncertainty = np.zeros(10)
    uncertainty[batch.select_cold_start_instance(points, "euclidean", 1)[0]] = 1.0
    chosen, _ = batch.ranked_batch(Unfitted(), points, uncertainty, 2, "euclidean", 1)
    assert chosen[0] == chosen[1]


def test_alipy_needs_an_old_python():
    """collections.Iterable is gone since Python 3.10."""
    needs("alipy")
    import collections

    labels = shims.alipy()
    found = labels.QueryInstanceUncertainty(np.zeros((4, 1)), np.array([0, 1, 0, 1]))
    del collections.Iterable
    try:
        with pytest.raises(AttributeError, match="Iterable"):
            found.select_by_prediction_mat(np.arange(4), dirichlet(4, classes=2), batch_size=1)
    finally:
        shims.alipy()


def test_scores_leave_probabilities_alone():
    """alipy writes 1e-6 for every 0 into the caller's matrix."""
    probs = np.array([[1.0, 0.0], [0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])
    needs("alipy")
    found = shims.alipy().QueryInstanceUncertainty(np.zeros((4, 1)), np.array([0, 1, 0, 1]), measure="entropy")
    found.select_by_prediction_mat(np.arange(4), probs, batch_size=1)
    assert probs[0, 1] != 0


def test_alipy_density_weights_prefer_the_outlier():
    """Its density is the mean distance, so the outlier is chosen; the typical sample comes first in ours."""
    points = np.concatenate([np.random.default_rng(11).normal(scale=0.1, size=(12, 2)), [[4.0, 4.0]]])
    assert pick("typiclust", embedded(points), 1)[0] != 12
    needs("alipy")
    theirs = shims.alipy().QueryInstanceDensityWeighted(points, np.arange(13) % 2)
    chosen = theirs.select(np.arange(2), np.arange(2, 13), proba_prediction=np.full((11, 2), 0.5))
    assert chosen.tolist() == [12]


def test_entropy_where_a_probability_is_zero():
    """pyrelational gives NaN, and its entropy is in units of log C."""
    probs = np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    ours = score("entropy", {"log_probs": logs(probs)})
    np.testing.assert_allclose(ours, [0.0, np.log(3)], atol=1e-12)
    needs("pyrelational")
    theirs = shims.pyrelational().classification_entropy(torch.tensor(probs, dtype=torch.float32)).numpy()
    assert np.isnan(theirs[0])
    np.testing.assert_allclose(theirs[1], 1.0, rtol=1e-6)


def test_pyrelational_needs_an_old_numpy():
    needs("pyrelational")
    with pytest.raises(AttributeError, match="float_"):
        shims.load("pyrelational.informativeness")


def test_pyrelational_refuses_double_precision():
    needs("pyrelational")
    probs = torch.tensor(dirichlet(5, classes=3))
    with pytest.raises((AssertionError, RuntimeError)):
        shims.pyrelational().classification_entropy(probs)
