"""Gradients of a linear softmax head, kept as factors: ∇ℓ(x, y) = (p - e_y) ⊗ [h, 1].

A product of C · D numbers per sample is never formed: norms and inner products of Kronecker products
are products of those of their factors.
"""

import numpy as np

from al_plugin.axes import FloatsN, FloatsNC, FloatsND
from al_plugin.math.geometry import squared_norms
from al_plugin.math.information import by_class, class_maxima, in_blocks, lane_sums, over_classes, row_products

# Numbers per block: eight temporaries in float64 fit in the cache.
_BLOCK = 2**15


def expected_gradient_length(log_probs: FloatsNC, hidden: FloatsND) -> FloatsN:
    """Expected norm of the head's gradient under the model's own label distribution.

    s = sqrt(‖h‖² + 1) · Σ_y p_y sqrt(‖p‖² - 2 p_y + 1), cross-entropy, head with bias.
    Shapes (N, C), (N, D) -> (N,). Range [0, sqrt(2 (‖h‖² + 1))); 0 iff p is one-hot.
    Source: Settles, Craven, Ray (2008), in closed form for a linear head.
    """
    length: FloatsN = np.sqrt(_squared_lengths(hidden) + 1.0)
    length *= in_blocks(_residual_length, log_probs, _BLOCK)
    return length


def _residual_length(block: FloatsNC) -> FloatsN:
    """Σ_y p_y ‖p - e_y‖, in float64.

    ‖p - e_y‖² = Σ_{c≠y} p_c² + (1 - p_y)², where ‖p‖² - 2 p_y + 1 would cancel to noise. For the best
    class the other squares are summed without it, for the rest subtracting loses nothing.
    """
    logs = by_class(block, double=True)
    probs = np.exp(logs)
    squares = probs * probs
    largest = over_classes(class_maxima(squares), squares)
    smaller = squares < largest
    squares *= smaller
    ties = over_classes(block.shape[1] - 1.0 - lane_sums(smaller.astype(squares.dtype)), squares)
    others = over_classes(lane_sums(squares), squares) + ties * largest
    total = np.expm1(logs)
    total *= total
    total += others
    total += largest * smaller
    total -= squares
    np.sqrt(total, out=total)
    total *= probs
    return lane_sums(total)


def _squared_lengths(hidden: FloatsND) -> FloatsN:
    """‖h‖² in float64, of float32 in float32 where that holds it."""
    if hidden.dtype != np.float32:
        return squared_norms(hidden)
    with np.errstate(over="ignore"):
        norms = row_products(hidden, hidden)
    beyond = np.isinf(norms)
    norms[beyond] = squared_norms(hidden[beyond])
    return norms
