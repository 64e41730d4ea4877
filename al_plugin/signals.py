"""The signals strategies may ask for: what each is, its axes, and who gives it.

A strategy names signals as positional parameters. ``source`` says where one comes from:
``model`` a fitted model (refused in round 0), ``pool`` the pool alone, ``score`` the score
strategy's result, ``labels`` the labelled set, ``votes`` the answers of annotators,
``task`` everything a training method works on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from al_plugin.errors import SignalError


@dataclass(frozen=True)
class Signal:
    """One array (or count) that flows between stages; ``task`` names the tasks that have it, "" where all do."""

    axes: str
    source: str
    meaning: str
    task: str = ""

    def under(self, task: str) -> bool:
        """Whether a campaign of this task has it."""
        return not self.task or task in self.task.split()


SIGNALS: Mapping[str, Signal] = {
    "log_probs": Signal("N C", "model", "log of the predicted class probabilities, nats", "classes"),
    "mc_log_probs": Signal("T N C", "model", "log-probabilities of T posterior samples, nats", "classes"),
    "labeled_log_probs": Signal("L C", "model", "log_probs of the labelled samples", "classes"),
    "target_mc_log_probs": Signal(
        "T M C", "model", "mc_log_probs of M inputs the model will meet, same T samples", "classes"
    ),
    "label_log_odds": Signal("N C", "model", "log of p / (1 - p) of each label, nats", "multilabel"),
    "mc_label_log_odds": Signal("T N C", "model", "label_log_odds of T posterior samples, nats", "multilabel"),
    "values": Signal("N", "model", "predicted number, in units of the answers", "regression"),
    "mc_values": Signal("T N", "model", "values of T posterior samples", "regression"),
    "embeddings": Signal("N D", "model", "input of the model's last linear layer"),
    "labeled_embeddings": Signal("L D", "model", "the same for the labelled samples"),
    "head_weight": Signal("C D", "model", "weight of the model's last linear layer", "classes"),
    "head_bias": Signal("C", "model", "bias of the model's last linear layer", "classes"),
    "output_deviations": Signal(
        "N P", "model", "change of the output under each of K small changes of all weights", "classes"
    ),
    "dropped_labels": Signal(
        "T N", "model", "class predicted while a random part of the features is dropped", "classes"
    ),
    "word_gradients": Signal(
        "N C", "model", "longest gradient of any input word's embedding, were the label c", "classes"
    ),
    "pool_dispersion": Signal("N", "model", "label dispersion over the epochs of training", "classes"),
    "pool_flips": Signal(
        "N", "model", "times the predicted label changed from one recorded epoch to the next", "classes"
    ),
    "predicted_loss": Signal("N", "model", "loss that a learned module expects of the sample", "classes"),
    "discriminator": Signal("N", "model", "probability that a discriminator takes the sample for labelled", "classes"),
    "frozen_embeddings": Signal("N D", "pool", "pool features, standardised, or ready embeddings"),
    "labeled_frozen_embeddings": Signal("L D", "pool", "the same for the labelled samples"),
    "sample_keys": Signal("N", "pool", "pseudo-random 64-bit key of each id for this round"),
    "labels": Signal("L", "labels", "class index of each labelled sample", "classes"),
    "answers": Signal("L", "labels", "number that each labelled sample was given", "regression"),
    "annotations": Signal(
        "N A", "labels", "class index each annotator gave each sample of the pool, -1 for none", "classes"
    ),
    "scores": Signal("N", "score", "acquisition score: higher is labelled first, -inf never"),
    "n_samples": Signal("", "votes", "number of samples with a vote"),
    "n_classes": Signal("", "votes", "number of classes", "classes multilabel"),
    "vote_samples": Signal("V", "votes", "sample (0..S-1) of each vote"),
    "vote_labels": Signal("V", "votes", "class index of each vote", "classes multilabel"),
    "vote_values": Signal("V", "votes", "number of each vote", "regression"),
    "vote_annotators": Signal("V", "votes", "annotator index of each vote"),
    "vote_order": Signal("V", "votes", "rank of each vote in time: later votes are larger"),
    "task": Signal("", "task", "features, labels, pool and settings of one training"),
}

# What a model predicts, and its posterior samples, under each task.
PREDICTED: Mapping[str, tuple[str, str]] = {
    "classes": ("log_probs", "mc_log_probs"),
    "multilabel": ("label_log_odds", "mc_label_log_odds"),
    "regression": ("values", "mc_values"),
}
SAMPLES = frozenset(samples for _, samples in PREDICTED.values())

# -inf is a legitimate value here: log of a zero probability, and a score of "never".
_MINUS_INFINITY_ALLOWED = frozenset({"log_probs", "labeled_log_probs", "mc_log_probs", "target_mc_log_probs", "scores"})


def check_signal(name: str, values: np.ndarray, ids: np.ndarray | None, sizes: dict[str, int]) -> None:
    """Raise SignalError unless ``values`` has the axes of ``name`` and is finite.

    ``sizes`` maps axis names to sizes met so far and is extended; ``ids`` (N,) names bad rows.
    """
    axes = SIGNALS[name].axes.split()
    if values.ndim != len(axes):
        raise SignalError(f"signal {name}: asked for axes ({', '.join(axes)}), found shape {values.shape}")
    for axis, size in zip(axes, values.shape, strict=True):
        if sizes.setdefault(axis, size) != size:
            raise SignalError(f"signal {name}: axis {axis} is {size} long, but another signal has {sizes[axis]}")
    if not np.issubdtype(values.dtype, np.floating):
        return
    bad = np.isnan(values) if name in _MINUS_INFINITY_ALLOWED else ~np.isfinite(values)
    if name in _MINUS_INFINITY_ALLOWED:
        bad |= np.isposinf(values)
    if bad.any():
        along = axes.index("N") if "N" in axes else 0
        rows = np.flatnonzero(np.moveaxis(bad, along, 0).reshape(values.shape[along], -1).any(axis=1))
        named = rows if ids is None or "N" not in axes else ids[rows]
        raise SignalError(
            f"signal {name}: {len(rows)} of {values.shape[along]} rows are not finite, "
            f"first {', '.join(str(row) for row in named[:3])}",
            change="look at those samples and at the model that produced them",
        )


def read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def take_samples(name: str, values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Rows of a pool signal for some samples, along its axis N."""
    return np.take(values, positions, axis=SIGNALS[name].axes.split().index("N"))
