"""Scores of one model and of committees beside other libraries, where those are right."""

import math

import numpy as np
import pytest
import torch
from beside import dirichlet, logs, needs, score, shims

pytestmark = pytest.mark.peers

CLASSES = 4
RANDOM = dirichlet(200, classes=CLASSES)
# Ties, certainty and doubt between two: rows without a logarithm.
CORNERS = np.array([[0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 1], [0.4, 0.4, 0.2, 0]])
ALL = np.concatenate([RANDOM, CORNERS])


def skactiveml(method):
    return lambda p: shims.load("skactiveml.pool").uncertainty_scores(p.copy(), method=method)


def modal(name):
    return lambda p: getattr(shims.load("modAL.uncertainty"), name)(p.copy())


def baal(name):
    return lambda p: getattr(shims.load("baal.active.heuristics"), name)().get_uncertainties(p.copy())


def pyrelational(name):
    return lambda p: getattr(shims.pyrelational(), name)(torch.tensor(p, dtype=torch.float32)).numpy()


def small_text(name):
    def theirs(p):
        found = getattr(shims.load("small_text.query_strategies.strategies"), name)()
        return found.score(
            shims.Posterior(p), np.arange(len(p))[:, None], np.arange(len(p)), np.array([]), np.array([])
        )

    return theirs


# Ours from theirs: theirs may count down, from 1, or in other units.
CASES = [
    ("entropy", "scikit-activeml", skactiveml("entropy"), lambda t: t, ALL),
    ("entropy", "modAL", modal("_proba_entropy"), lambda t: t, ALL),
    ("entropy", "baal", baal("Entropy"), lambda t: t, ALL),
    ("entropy", "small-text", small_text("PredictionEntropy"), lambda t: -t, ALL),
    ("entropy", "pyrelational", pyrelational("classification_entropy"), lambda t: t * math.log(CLASSES), RANDOM),
    ("margin", "scikit-activeml", skactiveml("margin_sampling"), lambda t: t - 1, ALL),
    ("margin", "modAL", modal("_proba_margin"), lambda t: -t, ALL),
    ("margin", "baal", baal("Margin"), lambda t: -t, ALL),
    ("margin", "small-text", small_text("BreakingTies"), lambda t: -t, ALL),
    ("margin", "pyrelational", pyrelational("classification_margin_confidence"), lambda t: t - 1, ALL),
    ("least_confidence", "scikit-activeml", skactiveml("least_confident"), lambda t: -np.log1p(-t), ALL),
    ("least_confidence", "modAL", modal("_proba_uncertainty"), lambda t: -np.log1p(-t), ALL),
    ("least_confidence", "baal", baal("Certainty"), lambda t: -np.log(t), ALL),
    ("least_confidence", "small-text", small_text("LeastConfidence"), lambda t: -np.log(t), ALL),
    (
        "least_confidence",
        "pyrelational",
        pyrelational("classification_least_confidence"),
        lambda t: -np.log(1 - t * (CLASSES - 1) / CLASSES),
        ALL,
    ),
    ("ratio", "pyrelational", pyrelational("classification_ratio_confidence"), lambda t: t, ALL),
]


@pytest.mark.parametrize(
    ("name", "library", "theirs", "as_ours", "probs"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_score_of_one_model(name, library, theirs, as_ours, probs):
    needs(library)
    single = library == "pyrelational"
    expected = as_ours(np.asarray(theirs(probs), dtype=np.float64))
    np.testing.assert_allclose(
        score(name, {"log_probs": logs(probs)}), expected, rtol=1e-4 if single else 1e-9, atol=1e-6 if single else 1e-12
    )


MEMBERS = dirichlet(6, 150, classes=CLASSES, seed=1)
EXTREMES = np.stack([np.eye(CLASSES)[[0, 1, 2, 3, 0]], np.eye(CLASSES)[[0, 1, 0, 0, 1]]] * 3)
# No two classes of a row are equal: the libraries break ties of a vote in their own ways.
COMMITTEE = np.concatenate([MEMBERS, EXTREMES], axis=1)


def votes(members):
    return members.argmax(axis=-1).T


def bald_skactiveml(members):
    return shims.load("skactiveml.pool").batch_bald(members.copy(), 1, random_state=0)[0]


def bald_redux(members):
    batchbald = shims.load("batchbald_redux.batchbald")
    found = torch.log(torch.tensor(members.transpose(1, 0, 2)).clamp_min(1e-300))
    return (batchbald.compute_entropy(found) - batchbald.compute_conditional_entropy(found)).numpy()


def modal_committee(function, members):
    """modAL asks a committee; this one has the given members and votes for their best classes."""

    class Committee:
        classes_ = np.arange(CLASSES)

        def __len__(self):
            return len(members)

        def __iter__(self):
            return iter(members)

        def vote(self, ids, **_):
            return votes(members)[np.asarray(ids)]

        def vote_proba(self, ids, **_):
            return members[:, np.asarray(ids)].transpose(1, 0, 2)

        def predict_proba(self, ids, **_):
            return members[:, np.asarray(ids)].mean(axis=0)

    return getattr(shims.load("modAL.disagreement"), function)(Committee(), np.arange(members.shape[1]))


def member_probabilities(members):
    """As small-text and baal want them: (N, T, C)."""
    return np.ascontiguousarray(members.transpose(1, 0, 2))


COMMITTEES = [
    ("bald", "scikit-activeml", bald_skactiveml),
    ("bald", "batchbald_redux", bald_redux),
    (
        "bald",
        "baal",
        lambda m: shims.load("baal.active.heuristics").BALD().get_uncertainties(m.transpose(1, 2, 0).copy()),
    ),
    ("bald", "modAL", lambda m: shims.load("modAL.dropout")._bald_divergence(list(m.copy()))),
    (
        "bald",
        "small-text",
        lambda m: shims.load("small_text.query_strategies.bayesian")._bald(member_probabilities(m)) * math.log(2),
    ),
    ("qbc_kl", "scikit-activeml", lambda m: shims.load("skactiveml.pool").average_kl_divergence(m.copy())),
    ("consensus_entropy", "modAL", lambda m: modal_committee("consensus_entropy", m)),
    ("vote_entropy", "modAL", lambda m: modal_committee("vote_entropy", m)),
    (
        "vote_entropy",
        "scikit-activeml",
        lambda m: shims.load("skactiveml.pool").vote_entropy(votes(m), np.arange(CLASSES)),
    ),
    ("variation_ratio", "scikit-activeml", lambda m: shims.load("skactiveml.pool").variation_ratios(votes(m))),
    ("mean_std", "modAL", lambda m: shims.load("modAL.dropout")._mean_standard_deviation(list(m.copy()))),
]


@pytest.mark.parametrize(("name", "library", "theirs"), COMMITTEES, ids=lambda v: v if isinstance(v, str) else "")
def test_score_of_a_committee(name, library, theirs):
    needs(library)
    # small-text adds 1e-8 within the logarithm, scikit-activeml and batchbald_redux cut p at 1e-7 and 1e-300.
    np.testing.assert_allclose(score(name, {"mc_log_probs": logs(COMMITTEE)}), theirs(COMMITTEE), rtol=1e-6, atol=2e-6)


def test_mean_disagreement_is_below_the_largest():
    """modAL ranks by the largest member's divergence, we (and scikit-activeml) by the mean over members."""
    needs("modAL")
    ours = score("qbc_kl", {"mc_log_probs": logs(MEMBERS)})
    largest = modal_committee("KL_max_disagreement", MEMBERS)
    mean = MEMBERS.mean(axis=0)
    divergences = (MEMBERS * np.log(MEMBERS / mean)).sum(axis=-1)
    np.testing.assert_allclose(largest, divergences.max(axis=0), rtol=1e-9)
    np.testing.assert_allclose(ours, divergences.mean(axis=0), rtol=1e-9)
    assert (ours < largest).all()


def test_alipy_sums_what_we_average():
    needs("alipy")
    alipy = shims.alipy().QueryInstanceQBC
    theirs = np.array(alipy.calc_avg_KL_divergence([member.copy() for member in MEMBERS]))
    np.testing.assert_allclose(theirs / len(MEMBERS), score("qbc_kl", {"mc_log_probs": logs(MEMBERS)}), rtol=1e-9)


def test_alipy_entropy():
    needs("alipy")
    theirs = np.array(shims.alipy().QueryInstanceUncertainty.calc_entropy(RANDOM.copy()))
    np.testing.assert_allclose(theirs, score("entropy", {"log_probs": logs(RANDOM)}), atol=1e-8)  # log(p + 1e-9)
