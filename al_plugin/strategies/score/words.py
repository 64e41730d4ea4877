"""How much a sample's label would change the weights of its words."""

import numpy as np

from al_plugin.axes import FloatsN, FloatsNC
from al_plugin.math.information import class_sums
from al_plugin.strategies.registry import strategy

_BLOCK = 2**18


@strategy(
    "egl_word",
    reference="Zhang, Lease, Wallace (2017)",
    cost="O(N C); the signal is O(N C H) of one forward pass for H hidden units",
    use="Text: samples with a word whose weights the label would change.",
)
def egl_word(log_probs: FloatsNC, word_gradients: FloatsNC) -> FloatsN:
    """High where the label is expected to change the weights of some word much.

    s = Σ_c p_c g_c, g_c the longest gradient of any word's weights, were the label c. Range [0, ∞): 0
    where no possible label changes anything.
    """
    scores = np.empty(len(log_probs))
    step = max(1, _BLOCK // log_probs.shape[1])
    for start in range(0, len(log_probs), step):
        rows = slice(start, start + step)
        scores[rows] = class_sums(np.exp(log_probs[rows].astype(np.float64)) * word_gradients[rows])
    return scores
