"""What the outputs of a network mean under each task, and the mean of several networks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from al_plugin.axes import Floats


def task_of(card: Mapping[str, Any]) -> str:
    """``campaign.task`` that the model of a card was trained for."""
    return str(card["network"].get("task", "classes"))


def in_units(card: Mapping[str, Any], raw: Floats) -> Floats:
    """Outputs (..., C) of heads as log-odds of labels (..., C), or as numbers (...) in units of the answers."""
    network = card["network"]
    if task_of(card) != "regression":
        return raw
    values: Floats = raw[..., 0].astype(np.float64) * network["target_scale"] + network["target_mean"]
    return values


def mean_prediction(card: Mapping[str, Any], each: Sequence[Floats]) -> Floats:
    """The networks' mean: log of the mean class probabilities, log-odds of the mean label probabilities, mean number.

    One network's own are left as they are.
    """
    if len(each) == 1:
        return each[0]
    task = task_of(card)
    if task == "regression":
        return np.asarray(np.mean(each, axis=0), dtype=np.float64)
    if task == "multilabel":
        # log of mean p less log of mean (1 - p): neither rounds away near 0 and 1.
        log_odds = np.stack([one.astype(np.float64) for one in each])
        yes, no = (-np.logaddexp(0.0, sign * log_odds) for sign in (-1, 1))
        found: Floats = (np.logaddexp.reduce(yes) - np.logaddexp.reduce(no)).astype(np.float32)
        return found
    # float64: the mean of probabilities near 0 and 1 must not round away.
    total = np.logaddexp.reduce([one.astype(np.float64) for one in each])
    mean: Floats = (total - np.log(len(each))).astype(np.float32)
    return mean
