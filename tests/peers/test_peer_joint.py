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


def annotated(rng, probs, annotators, share):
    """Class index per sample and annotator, -1 for none: right three times of four."""
    truth = np.array([rng.choice(probs.shape[1], p=row) for row in probs])
    answers = np.where(
        rng.random((len(probs), annotators)) < 0.75, truth[:, None], (truth[:, None] + 1) % probs.shape[1]
    )
    return np.where(rng.random(answers.shape) < share, answers, -1)


def active_lab_cleanlab(probs, annotations):
    multiannotator = shims.load("cleanlab.multiannotator")
    some = (annotations >= 0).any(axis=1)
    labels = np.where(annotations[some] < 0, np.nan, annotations[some].astype(float))
    scores = np.empty(len(probs))
    scores[some], scores[~some] = multiannotator.get_active_learning_scores(labels, probs[some], probs[~some])
    return scores


@pytest.mark.parametrize("annotators", [1, 3])
def test_active_lab(annotators):
    """cleanlab's lowest score comes first, ours is the highest."""
    needs("cleanlab")
    rng = np.random.default_rng(9)
    probs = dirichlet(160, classes=CLASSES, seed=10)
    annotations = annotated(rng, probs, annotators, 0.6)
    expected = active_lab_cleanlab(probs, annotations)
    found = score("active_lab", {"log_probs": logs(probs), "annotations": annotations})
    np.testing.assert_allclose(found - found.mean(), expected.mean() - expected, atol=1e-6)


def test_active_lab_without_answers():
    needs("cleanlab")
    probs = dirichlet(50, classes=CLASSES, seed=11)
    expected = shims.load("cleanlab.multiannotator").get_active_learning_scores(pred_probs_unlabeled=probs)[1]
    found = score("active_lab", {"log_probs": logs(probs), "annotations": np.full((50, 2), -1)})
    np.testing.assert_allclose(found - found.mean(), expected.mean() - expected, atol=1e-12)


def test_discriminative():
    """The samples that a discriminator takes least for labelled."""
    needs("scikit-activeml")
    labeled = np.random.default_rng(12).random(N)
    classifier = shims.skactiveml_classifier(np.stack([labeled, 1 - labeled], axis=1))
    theirs = shims.load("skactiveml.pool").DiscriminativeAL(greedy_selection=True, random_state=0)
    answers = np.full(N, np.nan)
    expected = theirs.query(np.arange(N)[:, None].astype(float), answers, classifier, batch_size=10)
    scores = score("discriminative", {"discriminator": labeled})
    assert pick("top", {"scores": scores}, 10) == expected.tolist()
