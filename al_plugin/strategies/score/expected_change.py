"""How much a sample's label would change the model."""

from al_plugin.axes import FloatsN, FloatsNC, FloatsND
from al_plugin.math.expected_change import expected_gradient_length
from al_plugin.strategies.registry import strategy


@strategy(
    "egl",
    reference="Settles, Craven, Ray (2008)",
    cost="O(N (C + D))",
    use="Text and other models with a linear head; it favours samples with large embeddings.",
    certain=True,
)
def egl(log_probs: FloatsNC, embeddings: FloatsND) -> FloatsN:
    """High where the expected gradient of the last linear layer is long.

    s = sqrt(‖h‖² + 1) · Σ_y p_y ‖p - e_y‖. Range [0, ∞): 0 iff the prediction is certain.
    """
    return expected_gradient_length(log_probs, embeddings)
