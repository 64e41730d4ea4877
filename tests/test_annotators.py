"""ActiveLab: the properties of its scores, and weights that can be checked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.math.annotators import crowdlab_trust, majority
from al_plugin.strategies.score.annotators import active_lab


def world(seed: int, *, samples: int = 60, classes: int = 3, error: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Predictions that are mostly right, and four annotators who err, on about half of the samples."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=samples)
    logits = rng.normal(size=(samples, classes)) + 2.0 * (np.arange(classes) == truth[:, None])
    log_probs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    wrong = rng.random((samples, 4)) < error
    answers = np.where(wrong, rng.integers(classes, size=(samples, 4)), truth[:, None])
    answers[rng.random((samples, 4)) < 0.4] = -1
    answers[samples // 2 :] = -1
    return log_probs, answers


@pytest.mark.parametrize("seed", range(5))
def test_more_agreeing_annotators_leave_less_doubt(seed: int) -> None:
    """The same prediction with no answer, then one to four that agree with it: asked later and later."""
    log_probs, answers = world(seed)
    same = np.log(np.tile([0.6, 0.2, 0.2], (5, 1)))
    agreeing = np.where(np.arange(4) < np.arange(5)[:, None], 0, -1)
    scores = active_lab(np.concatenate([log_probs, same]), np.concatenate([answers, agreeing]))[-5:]
    assert (np.diff(scores) < 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_disagreeing_answer_raises_doubt(seed: int) -> None:
    log_probs, answers = world(seed)
    same = np.log(np.tile([0.6, 0.2, 0.2], (2, 1)))
    voted = np.array([[0, 0, 0, -1], [0, 0, 1, -1]])
    agreed, split = active_lab(np.concatenate([log_probs, same]), np.concatenate([answers, voted]))[-2:]
    assert split > agreed


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=50)
def test_a_single_annotator_who_agrees_with_the_model_is_not_asked_again(seed: int, classes: int) -> None:
    """Equal confidence: the sample without a label comes first."""
    log_probs, _ = world(seed, classes=classes)
    twice = np.concatenate([log_probs, log_probs])
    answers = np.concatenate([log_probs.argmax(axis=1), np.full(len(log_probs), -1)])[:, None]
    labeled, unlabeled = np.split(active_lab(twice, answers), 2)
    assert (unlabeled > labeled).all()
    by_doubt = np.argsort(-active_lab(twice, answers), kind="stable")
    assert by_doubt[0] >= len(log_probs)


def test_inputs_are_not_mutated() -> None:
    """cleanlab's form for ensembles scales the caller's probabilities in place; ours leaves both arrays alone."""
    log_probs, answers = world(0)
    before = log_probs.tobytes(), answers.tobytes()
    active_lab(log_probs, answers)
    assert (log_probs.tobytes(), answers.tobytes()) == before


@given(st.integers(0, 10_000), st.integers(2, 6), st.floats(0, 1))
@settings(max_examples=80)
def test_range_and_invariance(seed: int, classes: int, error: float) -> None:
    """Scores lie in [-1, -1/C] where annotators overlap; the order of samples and of annotators does not matter."""
    log_probs, answers = world(seed, classes=classes, error=error)
    scores = active_lab(log_probs, answers)
    assert scores.min() >= -1
    if ((answers >= 0).sum(axis=1) > 1).any():
        assert scores.max() <= -1 / classes + 1e-12
    rows = np.random.default_rng(seed).permutation(len(scores))
    assert np.array_equal(active_lab(log_probs[rows], answers[rows]), scores[rows])
    np.testing.assert_allclose(active_lab(log_probs, answers[:, ::-1]), scores, rtol=1e-12)


def test_weights_by_hand() -> None:
    """Four samples with three answers. Annotator 2 errs once of four; the model once too."""
    answers = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 1, 1], [2, -1, -1]])
    log_probs = np.log([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    trust = crowdlab_trust(log_probs, answers)
    assert trust.accuracy == pytest.approx(11 / 12)
    # Majority 0 1 0 1: the most frequent class errs in half. Annotators 0 and 1 agree in 7 of 8 pairs, 2 in 6.
    np.testing.assert_allclose(trust.annotators, [0.75, 0.75, 0.5])
    assert trust.model == pytest.approx((1 - 0.25 / 0.5) * np.sqrt(13 / 5))


def test_majority_ties_go_to_the_model() -> None:
    log_probs = np.array([[np.log(0.2), np.log(0.5), np.log(0.3)], [0.0, -np.inf, -np.inf]])
    assert majority(log_probs, np.array([[0, 2, -1], [1, 2, -1]])).tolist() == [2, 1]
    assert majority(log_probs, np.array([[0, 0, 1], [2, 2, 0]])).tolist() == [0, 2]


def test_an_annotator_without_overlap_gets_the_mean_of_the_others() -> None:
    """cleanlab imputes the mean agreement too; it is no NaN and no zero weight."""
    log_probs, answers = world(3)
    alone = np.full((len(answers), 1), -1)
    alone[-1] = 1
    trust = crowdlab_trust(log_probs, np.concatenate([answers, alone], axis=1))
    unclipped = trust.annotators[:-1]
    assert (unclipped > 1e-6).all()
    assert trust.annotators[-1] == pytest.approx(unclipped.mean())


def test_without_any_answer_the_order_is_least_confidence() -> None:
    log_probs, _ = world(1)
    none = np.full((len(log_probs), 2), -1)
    scores = active_lab(log_probs, none)
    assert np.argsort(scores).tolist() == np.argsort(-log_probs.max(axis=1)).tolist()
    for answers in (np.empty((len(log_probs), 0), dtype=int), none):
        np.testing.assert_allclose(active_lab(log_probs, answers), -(np.exp(log_probs.max(axis=1)) + 1 / 3) / 2)
