"""Joint and expected information, annotators and discriminators beside other libraries, where those are right."""

import numpy as np
import pytest
import torch
from beside import dirichlet, logs, needs, pick, score, shims

pytestmark = pytest.mark.peers

CLASSES, MEMBERS, N = 3, 8, 40
PK = dirichlet(MEMBERS, N, classes=CLASSES, seed=7)


def batchbald_skactiveml(b):
    gains = shims.load("skactiveml.pool").batch_bald(PK.copy(), b, n_MC_samples=CLASSES ** (b - 1), random_state=0)
    return np.nanargmax(gains, axis=1)


def batchbald_redux(b):
    batchbald = shims.load("batchbald_redux.batchbald")
    found = torch.log(torch.tensor(PK.transpose(1, 0, 2)))
    return batchbald.get_batchbald_batch(found, b, CLASSES**b, dtype=torch.double).indices


@pytest.mark.parametrize(
    ("library", "theirs"),
    [("scikit-activeml", batchbald_skactiveml), ("batchbald_redux", batchbald_redux)],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_batch_bald(library, theirs):
    """The same samples in the same order while joint entropies are exact."""
    needs(library)
    assert pick("batch_bald", {"mc_log_probs": logs(PK)}, 4) == list(map(int, theirs(4)))


def test_epig():
    """baal works in single precision."""
    needs("baal")
    target = dirichlet(MEMBERS, 17, classes=CLASSES, seed=8)
    theirs = shims.load("baal.active.heuristics.heuristics").EPIG()
    expected = theirs.compute_score(PK.transpose(1, 2, 0).copy(), target.transpose(1, 2, 0).copy())
    found = score("epig", {"mc_log_probs": logs(PK), "target_mc_log_probs": logs(target)})
    np.testing.assert_allclose(found, expected, atol=3e-6)


def test_committee_error_reduction_in_log_loss():
    """With log loss it is EPIG, which baal computes."""
    needs("baal")
    target = dirichlet(MEMBERS, 17, classes=CLASSES, seed=8)
    theirs = shims.load("baal.active.heuristics.heuristics").EPIG()
    expected = theirs.compute_score(PK.transpose(1, 2, 0).copy(), target.transpose(1, 2, 0).copy())
    found = score("eer_committee", {"mc_log_probs": logs(PK), "target_mc_log_probs": logs(target)}, loss="log")
    np.testing.assert_allclose(found, expected, atol=3e-6)


def conditioned_committee(members):
    """A scikit-activeml classifier that weighs members by the probability of the labels it is fitted to."""
    base = shims.load("skactiveml.base").SkactivemlClassifier

    class Committee(base):
        def fit(self, X, y, sample_weight=None):
            y = np.asarray(y, dtype=float)
            known = np.flatnonzero(~np.isnan(y))
            ids = np.asarray(X)[known, 0].astype(int)
            self.weights_ = members[:, ids, y[known].astype(int)].prod(axis=1)
            self.weights_ /= self.weights_.sum()
            self.classes_ = np.arange(members.shape[2])
            return self

        def predict_proba(self, X):
            return np.einsum("t,tnc->nc", self.weights_, members[:, np.asarray(X)[:, 0].astype(int)])

    return Committee(classes=list(range(members.shape[2])))


@pytest.mark.parametrize(("loss", "method"), [("zero_one", "misclassification_loss"), ("log", "log_loss")])
def test_committee_error_reduction_by_fitting_again(loss, method):
    """scikit-activeml fits again for every sample and label; ours weighs the committee."""
    needs("scikit-activeml")
    target = dirichlet(MEMBERS, 11, classes=CLASSES, seed=8)
    members = np.concatenate([PK, target], axis=1)
    ids = np.arange(members.shape[1])[:, None].astype(float)
    theirs = shims.load("skactiveml.pool").MonteCarloEER(method=method, subtract_current=True, random_state=0)
    committee = conditioned_committee(members)
    _, gains = theirs.query(ids[:N], np.full(N, np.nan), committee, X_eval=ids[N:], return_utilities=True)
    found = score("eer_committee", {"mc_log_probs": logs(PK), "target_mc_log_probs": logs(target)}, loss=loss)
    np.testing.assert_allclose(found, gains[0] / target.shape[1], atol=1e-9)  # theirs is the sum over targets


def annotated(rng, probs, annotators, right, share):
    """Class index per sample and annotator, -1 for none; ``right``: how often an answer is."""
    truth = np.array([rng.choice(probs.shape[1], p=row) for row in probs])
    correct = rng.random((len(probs), annotators)) < right
    answers = np.where(correct, truth[:, None], (truth[:, None] + 1) % probs.shape[1])
    return np.where(rng.random(answers.shape) < share, answers, -1)


def active_lab_cleanlab(probs, annotations):
    multiannotator = shims.load("cleanlab.multiannotator")
    some = (annotations >= 0).any(axis=1)
    labels = np.where(annotations[some] < 0, np.nan, annotations[some].astype(float))
    scores = np.empty(len(probs))
    scores[some], scores[~some] = multiannotator.get_active_learning_scores(labels, probs[some], probs[~some])
    return scores


@pytest.mark.parametrize(
    ("annotators", "right", "share", "gap"),
    [(1, 0.75, 0.6, 1e-9), (3, 0.97, 0.9, 1e-9), (3, 0.75, 0.6, 0.02)],
    ids=["one", "sure", "doubtful"],
)
def test_active_lab(annotators, right, share, gap, monkeypatch):
    """cleanlab's lowest score comes first, ours is the highest.

    Ours takes probabilities as they are, and weighs annotators by the majority's label. cleanlab weighs them a
    second time by its own consensus, which differs from the majority where answers are few and doubtful.
    """
    needs("cleanlab")
    rng = np.random.default_rng(9)
    probs = dirichlet(160, classes=CLASSES, seed=10)
    annotations = annotated(rng, probs, annotators, right, share)
    annotations[:20] = -1
    monkeypatch.setattr(shims.load("cleanlab.multiannotator"), "find_best_temp_scaler", lambda *_: 1.0)
    expected = active_lab_cleanlab(probs, annotations)
    found = score("active_lab", {"log_probs": logs(probs), "annotations": annotations})
    np.testing.assert_allclose(found, -expected, atol=gap)


def test_active_lab_without_answers():
    needs("cleanlab")
    probs = dirichlet(50, classes=CLASSES, seed=11)
    expected = shims.load("cleanlab.multiannotator").get_active_learning_scores(pred_probs_unlabeled=probs)[1]
    found = score("active_lab", {"log_probs": logs(probs), "annotations": np.full((50, 2), -1)})
    np.testing.assert_allclose(found, -expected, atol=1e-12)


def test_discriminative():
    """One batch of a logistic discriminator, both sides of equal weight."""
    needs("scikit-activeml")
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(12)
    points = rng.normal(size=(80, 4))
    points[60:] += [1.0, 0.5, 0.0, 0.0]
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    answers = np.concatenate([np.full(60, np.nan), np.zeros(20)])
    regression = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-10, max_iter=1000)
    classifier = shims.load("skactiveml.classifier").SklearnClassifier(regression)
    theirs = shims.load("skactiveml.pool").DiscriminativeAL(greedy_selection=True, random_state=0)
    expected = theirs.query(points, answers, classifier, batch_size=10)
    signals = {"embeddings": points[:60], "labeled_embeddings": points[60:]}
    assert pick("discriminative", signals, 10, batches=1) == expected.tolist()
