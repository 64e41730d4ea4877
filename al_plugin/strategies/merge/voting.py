"""Consensus by counting."""

import numpy as np

from al_plugin.axes import FloatsSC, IntsV
from al_plugin.strategies.registry import strategy


@strategy(
    "majority",
    reference="plurality vote",
    cost="O(V + S C)",
    use="One or more annotators of similar skill.",
)
def majority(vote_samples: IntsV, vote_labels: IntsV, n_samples: int, n_classes: int) -> FloatsSC:
    """Share of votes per class, rows sum to 1; a tie at the top leaves the sample undecided."""
    counts = np.zeros((n_samples, n_classes))
    np.add.at(counts, (vote_samples, vote_labels), 1.0)
    shares: FloatsSC = counts / counts.sum(axis=1, keepdims=True)
    return shares


@strategy(
    "latest",
    reference="last answer wins",
    cost="O(V log V)",
    use="A single reviewer whose later answers correct earlier ones.",
)
def latest(vote_samples: IntsV, vote_labels: IntsV, vote_order: IntsV, n_samples: int, n_classes: int) -> FloatsSC:
    """All weight on the class of each sample's latest vote.

    Votes of the same rank in time share the weight, so that no order of files decides.
    """
    newest = np.full(n_samples, -1)
    np.maximum.at(newest, vote_samples, vote_order)
    last = vote_order == newest[vote_samples]
    counts = np.zeros((n_samples, n_classes))
    np.add.at(counts, (vote_samples[last], vote_labels[last]), 1.0)
    shares: FloatsSC = counts / counts.sum(axis=1, keepdims=True)
    return shares
