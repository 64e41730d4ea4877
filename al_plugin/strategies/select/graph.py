"""Bisection on graphs of the pool."""

import numpy as np

from al_plugin.axes import FloatsLC, FloatsNC, IntsL, Picks
from al_plugin.math.line_graph import Line, class_line, next_place
from al_plugin.strategies.registry import strategy


@strategy(
    "galaxy",
    reference="Zhang, Katz-Samuels, Nowak (2022)",
    cost="O(min(n, C) N log N + n (N + L)), memory O(min(n, C) N)",
    use="Extreme class imbalance and a model trained with class weights: picks from both sides of each class's cut.",
    expected_failures={"class_order": "the class of each pick is drawn by its index"},
)
def galaxy(
    log_probs: FloatsNC,
    labeled_log_probs: FloatsLC,
    labels: IntsL,
    n: int,
    rng: np.random.Generator,
) -> Picks:
    """For each pick a random class; on its line of one-vs-rest margins the cut between labels is bisected.

    Samples stand by log p_k - max_{c≠k} log p_c. The middle of the shortest stretch between labelled
    neighbours of different sides is asked, or where that stretch is used up the sample next to it; a
    class without a cut asks a sample at random. The authors learn each label before the next pick. Here
    the labels of a batch are unknown, so a pick is no longer free but moves no cut: further picks of the
    batch halve the longest run that is left of the stretch.
    """
    free = np.ones(len(log_probs), dtype=np.bool_)
    lines: dict[int, Line] = {}
    picks = np.empty(n, dtype=np.int64)
    for step, label in enumerate(rng.integers(log_probs.shape[1], size=n).tolist()):
        if label not in lines:
            lines[label] = class_line(log_probs, labeled_log_probs, labels, label)
        on = lines[label]
        place = next_place(on, free[on.order])
        picks[step] = rng.choice(np.flatnonzero(free)) if place is None else on.order[place]
        free[picks[step]] = False
    return picks
