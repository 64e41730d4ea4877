"""Batches that cover a pool, beside other libraries, where those are right."""

import numpy as np
import pytest
from beside import needs, pick, shims

pytestmark = pytest.mark.peers

N, LABELED, DIM = 120, 9, 5
POINTS = np.random.default_rng(4).normal(size=(N + LABELED, DIM))
UNITS = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
# Labelled samples stand behind the candidates: then positions among candidates are positions in POINTS.
FREE, TAKEN = np.arange(N), np.arange(N, N + LABELED)
ANSWERS = np.concatenate([np.full(N, np.nan), np.arange(LABELED) % 3])


def embedded(points, labeled=TAKEN):
    free = np.setdiff1d(np.arange(len(points)), labeled)
    return {
        "embeddings": points[free],
        "labeled_embeddings": points[labeled],
        "frozen_embeddings": points[free],
        "labeled_frozen_embeddings": points[labeled],
    }


def kcenter_skactiveml(b):
    return shims.load("skactiveml.pool").k_greedy_center(POINTS, ANSWERS, batch_size=b, random_state=0)[0]


def kcenter_small_text(b):
    coresets = shims.load("small_text.query_strategies.coresets")
    return coresets.greedy_coreset(POINTS, FREE, TAKEN, b, distance_metric="euclidean")


def kcenter_alipy(b):
    found = shims.alipy().QueryInstanceCoresetGreedy(POINTS, np.nan_to_num(ANSWERS), np.arange(N + LABELED))
    return found.select(TAKEN, FREE, b)


@pytest.mark.parametrize(
    ("library", "theirs"),
    [("scikit-activeml", kcenter_skactiveml), ("small-text", kcenter_small_text), ("alipy", kcenter_alipy)],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_kcenter_greedy(library, theirs):
    """The same samples in the same order."""
    needs(library)
    assert pick("kcenter_greedy", embedded(POINTS), 30) == list(map(int, theirs(30)))


@pytest.mark.parametrize("labeled", [TAKEN, TAKEN[:0]], ids=["labels", "cold start"])
@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_max_herding(sigma, labeled):
    needs("scikit-activeml")
    points = POINTS if len(labeled) else POINTS[:N]
    theirs = shims.load("skactiveml.pool").MaxHerding(metric_dict={"gamma": sigma**-2}, random_state=0)
    expected = theirs.query(points, ANSWERS[: len(points)], batch_size=20)
    assert pick("max_herding", embedded(points, labeled), 20, sigma=sigma) == expected.tolist()


def test_facility_location():
    """apricot's greedy on our similarities; max_cover with the whole pool on its shortlist."""
    needs("apricot")
    units = UNITS[:N]
    theirs = shims.load("apricot").FacilityLocationSelection(20, metric="precomputed", optimizer="naive")
    expected = theirs.fit((1 + units @ units.T) / 2).ranking
    signals = {**embedded(POINTS), "scores": np.arange(N, 0, -1.0)}
    assert pick("max_cover", signals, 20, factor=float(N)) == expected.tolist()


def test_facility_location_of_a_pool():
    """apricot, which knows no labelled samples; ours is the strategy of that name, without labels."""
    needs("apricot")
    units = UNITS[:N]
    theirs = shims.load("apricot").FacilityLocationSelection(20, metric="precomputed", optimizer="naive")
    expected = theirs.fit((1 + units @ units.T) / 2).ranking
    assert pick("facility_location", embedded(POINTS[:N], TAKEN[:0]), 20) == expected.tolist()


@pytest.mark.parametrize("labeled", [TAKEN, TAKEN[:0]], ids=["labels", "cold start"])
def test_uncertainty_herding_of_doubtful_samples(labeled):
    """Where all predictions are uniform it is herding without weights, which scikit-activeml has."""
    needs("scikit-activeml")
    points = POINTS if len(labeled) else POINTS[:N]
    theirs = shims.load("skactiveml.pool").MaxHerding(metric_dict={"gamma": 1.0}, random_state=0)
    expected = theirs.query(points, ANSWERS[: len(points)], batch_size=20)
    signals = {**embedded(points, labeled), "log_probs": np.full((N, 4), -np.log(4))}
    assert pick("uherding", signals, 20, sigma=1.0) == expected.tolist()


BLOBS = (40, 33, 27, 21, 16)


def blobs(seed=0, sizes=BLOBS):
    """Far blobs of different sizes: D² sampling starts k-means in each of them."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(size=(size, 3)) + 1000.0 * i for i, size in enumerate(sizes)])


@pytest.mark.parametrize("labeled_blobs", [(), (0,), (1, 3)])
def test_typiclust(labeled_blobs):
    """One sample of each blob without labels, the most typical one, the largest blob first."""
    needs("scikit-activeml")
    points = blobs()
    starts = np.cumsum((0, *BLOBS))
    labeled = np.array([starts[blob] for blob in labeled_blobs], dtype=int)
    b = len(BLOBS) - len(labeled)
    answers = np.full(len(points), np.nan)
    answers[labeled] = 0
    theirs = shims.load("skactiveml.pool").TypiClust(k=5, random_state=0, cluster_algo_dict={"n_init": 20})
    expected = theirs.query(points, answers, batch_size=b)
    free = np.setdiff1d(np.arange(len(points)), labeled)
    picks = pick("typiclust", embedded(points, labeled), b, neighbours=5)
    assert free[picks].tolist() == expected.tolist()


def test_typicality():
    """scikit-activeml's sum over k neighbours is our mean over them."""
    needs("scikit-activeml")
    from al_plugin.math.clustering import typicality

    theirs = shims.load("skactiveml.pool._typi_clust")._typicality(POINTS, FREE, 7)
    np.testing.assert_allclose(typicality(POINTS[FREE], 7), theirs[FREE], rtol=1e-6)


@pytest.mark.parametrize("labeled", [TAKEN, TAKEN[:0]], ids=["labels", "cold start"])
@pytest.mark.parametrize("radius", [0.4, 0.9])
def test_prob_cover(labeled, radius):
    """Each of our picks covers as many samples as scikit-activeml's best; it breaks ties at random."""
    needs("scikit-activeml")
    points = UNITS if len(labeled) else UNITS[:N]
    picks = pick("prob_cover", embedded(points, labeled), 12, delta=radius)
    answers = np.full(len(points), np.nan)
    answers[labeled] = 0
    for chosen in picks:
        theirs = shims.load("skactiveml.pool").ProbCover(n_classes=3, deltas=[radius], random_state=0)
        _, covered = theirs.query(points, answers, batch_size=1, return_utilities=True)
        assert covered[0][chosen] == np.nanmax(covered)
        answers[chosen] = 0


def test_weighted_kmeans():
    """scikit-activeml's Clue is k-means weighted by doubt: with our weights, the samples next to our centers."""
    needs("scikit-activeml")
    points = blobs(seed=5)
    doubt = np.random.default_rng(6).uniform(0.2, 1.0, size=len(points))
    weights = np.maximum((doubt - doubt.min()) / (doubt.max() - doubt.min()), 2.0**-20)
    probs = np.full((len(points), 2), 0.5)
    pool = shims.load("skactiveml.pool")
    classifier = shims.skactiveml_classifier(probs, points, weights)
    ids, answers = np.arange(len(points))[:, None].astype(float), np.full(len(points), np.nan)
    clue = pool.Clue(random_state=0, cluster_algo_dict={"n_init": 20, "random_state": 0})
    expected = clue.query(ids, answers, classifier, fit_estimator=False, batch_size=len(BLOBS))
    signals = {"scores": doubt, "embeddings": points}
    assert sorted(pick("weighted_kmeans", signals, len(BLOBS), factor=1e6)) == sorted(expected.tolist())
