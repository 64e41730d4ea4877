"""Gradients of a linear softmax head, kept as factors: ∇ℓ(x, y) = (p - e_y) ⊗ [h, 1].

A product of C · D numbers per sample is never formed: norms and inner products of Kronecker products
are products of those of their factors.
"""

import numpy as np

from al_plugin.axes import FloatsN, FloatsNC, FloatsND, Picks
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


def gradient_factors(log_probs: FloatsNC, hidden: FloatsND) -> tuple[FloatsNC, FloatsND]:
    """Factors (p - e_ŷ, [h, 1]) of the gradient at the predicted label, ties to the lower class.

    Shapes (N, C), (N, D) -> (N, C), (N, D + 1), float64.
    """
    logs = log_probs.astype(np.float64)
    rows, best = np.arange(len(logs)), logs.argmax(axis=1)
    residual = np.exp(logs)
    residual[rows, best] = np.expm1(logs[rows, best])  # p - 1 without cancellation
    inputs = np.concatenate([hidden.astype(np.float64), np.ones((len(hidden), 1))], axis=1)
    return residual, inputs


def factored_d2_sampling(residual: FloatsNC, inputs: FloatsND, n: int, rng: np.random.Generator) -> Picks:
    """k-means++ seeding over the products a_i ⊗ b_i, without forming them.

    The first pick has the largest norm (ties to the first position); each further one is drawn with
    probability proportional to D², its squared distance to the nearest pick:
    ‖a⊗h - b⊗g‖² = ‖a‖²‖h‖² + ‖b‖²‖g‖² - 2 <a, b> <h, g>. Where no mass is left (copies of what was
    picked) the draw is uniform over the rest. O(n N (C + D)) time, O(N) memory beside the factors.
    Source: Ash et al. (2020); Arthur & Vassilvitskii (2007).
    """
    norms = squared_norms(residual) * squared_norms(inputs)
    nearest = np.full(len(norms), np.inf)
    free = np.ones(len(norms), dtype=np.bool_)
    picks = np.empty(n, dtype=np.int64)
    for step in range(n):
        if step == 0:
            pick = int(norms.argmax())
        else:
            mass = np.cumsum(nearest)
            if mass[-1] > 0:
                pick = int(np.searchsorted(mass, rng.random() * mass[-1], side="right"))
            else:
                pick = int(rng.choice(np.flatnonzero(free)))
        picks[step] = pick
        free[pick] = False
        cross = (residual @ residual[pick]) * (inputs @ inputs[pick])
        distance = norms + norms[pick] - 2.0 * cross
        # Cancellation leaves about 1e-16 of the norms where copies are at distance 0.
        distance[distance <= 1e-12 * (norms + norms[pick])] = 0.0
        np.minimum(nearest, distance, out=nearest)
        nearest[pick] = 0.0
    return picks
