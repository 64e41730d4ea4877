"""How far annotators and a model can be trusted, and how sure the label is that they agree on."""

from dataclasses import dataclass

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsNC, Ints, IntsN, IntsNA

_ROWS = 2048
# A weight is never below this: nobody is ignored for good.
_LEAST = 1e-6


@dataclass(frozen=True)
class Trust:
    """Weight of each annotator (A,) and of the model; ``accuracy``: chance that an answer is the consensus.

    ``accuracy`` is None where no sample has two answers: nothing tells the annotators' quality, and all
    weights are 1.
    """

    annotators: Floats
    model: float
    accuracy: float | None


def majority(log_probs: FloatsNC, annotations: IntsNA) -> IntsN:
    """Class with most answers, ties to the one the model finds more probable, then the lower class: (N,).

    Every row has an answer.
    """
    best = np.empty(len(annotations), dtype=np.int64)
    for start in range(0, len(annotations), _ROWS):
        rows = slice(start, start + _ROWS)
        answers = annotations[rows]
        counts = np.zeros((len(answers), log_probs.shape[1]), dtype=np.int32)
        row, annotator = np.nonzero(answers >= 0)
        np.add.at(counts, (row, answers[row, annotator]), 1)
        tied = counts == counts.max(axis=1, keepdims=True)
        best[rows] = np.where(tied, np.maximum(log_probs[rows], -1e30), -np.inf).argmax(axis=1)
    return best


def crowdlab_trust(log_probs: FloatsNC, annotations: IntsNA) -> Trust:
    """CROWDLAB's weights, from samples with two answers or more (I₊); annotations -1 for none.

    P = mean over I₊ of the share of answers that are the majority label; e = share of I₊ whose majority
    label is not the most frequent one; annotator j: 1 - (1 - s_j) / e with s_j the share of other answers
    to the same samples that equal j's (the mean of the others' where there are none); model:
    (1 - m / e) · sqrt(mean answers per labelled sample), m the share of I₊ it predicts otherwise. Weights
    are at least 1e-6. Sums are of whole numbers: the order of samples does not matter.
    Source: Goh, Tkachenko, Mueller (2022).
    """
    answered = (annotations >= 0).sum(axis=1)
    several = np.flatnonzero(answered > 1)
    if len(several) == 0:
        return Trust(np.ones(annotations.shape[1]), 1.0, None)
    answers, counts = annotations[several], answered[several]
    agreed = majority(log_probs[several], answers)
    right = (answers == agreed[:, None]).sum(axis=1)
    by_count = np.bincount(counts, weights=right)[2:] / np.arange(2, counts.max() + 1)
    error = max(1.0 - np.bincount(agreed).max() / len(several), _LEAST)
    others = 1.0 - (1.0 - _agreement(answers, counts)) / error
    missed = float((log_probs[several].argmax(axis=1) != agreed).mean())
    answers_each = float(answered.sum()) / float((answered > 0).sum())
    model = max(1.0 - missed / error, _LEAST) * answers_each**0.5
    return Trust(np.maximum(others, _LEAST), model, float(by_count.sum()) / len(several))


def _agreement(answers: IntsNA, counts: Ints) -> Floats:
    """Share of the other answers to an annotator's samples that equal the annotator's, (A,)."""
    same, possible = np.zeros(answers.shape[1]), np.zeros(answers.shape[1])
    for annotator in range(answers.shape[1]):
        has = answers[:, annotator] >= 0
        own = answers[has, annotator][:, None]
        same[annotator] = (answers[has] == own).sum() - has.sum()
        possible[annotator] = (counts[has] - 1).sum()
    known = possible > 0
    shares = np.divide(same, possible, out=np.zeros_like(same), where=known)
    shares[~known] = shares[known].mean()
    return shares


def consensus_quality(log_probs: FloatsNC, annotations: IntsNA, trust: Trust) -> FloatsN:
    """Probability that the consensus of model and annotators is right, pulled towards 1 / C: (N,).

    q = (max_k [w_M p_k + Σ_j w_j P(k | answer_j)] + w̄ / C) / (w_M + Σ_j w_j + w̄), j over the annotators
    who answered, P(k | k) = P, else (1 - P) / (C - 1), w̄ the mean weight of annotators. A sample without
    answers has the model's best class. Range [1/C, 1]. Without overlap of annotators P(k | answer) is p_k
    and k the answer: range (0, 1]. Source: Goh & Mueller (2023).
    """
    quality = np.empty(len(log_probs))
    for start in range(0, len(log_probs), _ROWS):
        rows = slice(start, start + _ROWS)
        probs = np.exp(log_probs[rows].astype(np.float64))
        weigh = _alone if trust.accuracy is None else _together
        quality[rows] = weigh(probs, annotations[rows], trust)
    return quality


def _alone(probs: FloatsNC, answers: IntsNA, _: Trust) -> FloatsN:
    """All weights 1, and at most one answer to a sample."""
    answered = (answers >= 0).sum(axis=1)
    label = answers.max(axis=1, initial=-1)
    own = np.where(answered > 0, probs[np.arange(len(probs)), label], probs.max(axis=1))
    quality: FloatsN = (own * (1.0 + answered) + 1.0 / probs.shape[1]) / (2.0 + answered)
    return quality


def _together(probs: FloatsNC, answers: IntsNA, trust: Trust) -> FloatsN:
    classes = probs.shape[1]
    accuracy = 0.0 if trust.accuracy is None else trust.accuracy
    other = (1.0 - accuracy) / max(classes - 1, 1)
    support = trust.model * probs
    total = np.full(len(probs), trust.model)
    for annotator, weight in enumerate(trust.annotators.tolist()):
        has = np.flatnonzero(answers[:, annotator] >= 0)
        support[has] += weight * other
        support[has, answers[has, annotator]] += weight * (accuracy - other)
        total[has] += weight
    doubt = float(trust.annotators.mean())
    quality: FloatsN = (support.max(axis=1) + doubt / classes) / (total + doubt)
    return quality
