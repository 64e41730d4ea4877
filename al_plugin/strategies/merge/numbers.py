"""Consensus of numbers."""

import numpy as np

from al_plugin.axes import FloatsS, FloatsV, IntsV
from al_plugin.strategies.registry import strategy


@strategy(
    "mean",
    reference="arithmetic mean",
    cost="O(V + S)",
    use="Annotators whose errors are of one kind: the usual choice.",
)
def mean(vote_samples: IntsV, vote_values: FloatsV, n_samples: int) -> FloatsS:
    """The mean of each sample's numbers, exactly theirs where all are the same.

    m = a + (1/V) Σ (v - a) with a their least, summed in ascending order: no order of files decides.
    """
    order = np.lexsort((vote_values, vote_samples))
    votes = np.bincount(vote_samples, minlength=n_samples)
    least = vote_values[order][np.cumsum(votes) - votes]
    above = np.bincount(vote_samples[order], weights=(vote_values - least[vote_samples])[order], minlength=n_samples)
    found: FloatsS = least + above / votes
    return found


@strategy(
    "median",
    reference="sample median",
    cost="O(V log V + S)",
    use="Three annotators or more of whom one may be far off (a slipped decimal point).",
)
def median(vote_samples: IntsV, vote_values: FloatsV, n_samples: int) -> FloatsS:
    """The median of each sample's numbers; of an even number the mean of the two in the middle."""
    order = np.lexsort((vote_values, vote_samples))
    votes = np.bincount(vote_samples, minlength=n_samples)
    ends = np.cumsum(votes)
    low, high = ends - votes + (votes - 1) // 2, ends - votes + votes // 2
    ranked = vote_values[order]
    return np.asarray(0.5 * (ranked[low] + ranked[high]), dtype=np.float64)
