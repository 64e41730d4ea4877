"""D² sampling over the gradients of a linear softmax head, kept as factors: g = (p - e_ŷ) ⊗ [h, 1].

A product of C · D numbers per sample is never formed: ‖a⊗h - b⊗g‖² = ‖a‖²‖h‖² + ‖b‖²‖g‖² - 2 <a, b> <h, g>.
"""

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsNC, FloatsND, Picks

# Numbers per block: its copy in float64 stays in the cache.
_BLOCK = 2**17
_PROPOSALS = 128
_PENDING = 1024
# Cancellation leaves about 1e-16 of the norms where copies are at distance 0.
_COPY = 1e-12


def predicted_residual(log_probs: FloatsNC) -> FloatsNC:
    """p - e_ŷ at the predicted label ŷ, ties to the lower class; shape and precision of the input."""
    residual = np.empty_like(log_probs)
    step = max(_BLOCK // log_probs.shape[1], 1)
    for start in range(0, len(log_probs), step):
        logs = log_probs[start : start + step].astype(np.float64)
        rows, best = np.arange(len(logs)), logs.argmax(axis=1)
        block = np.exp(logs)
        block[rows, best] = np.expm1(logs[rows, best])  # p - 1 without cancellation
        residual[start : start + step] = block
    return residual


class _Gradients:
    """Squared norms and distances of a_i ⊗ [h_i, 1] in float64, from blocks of the factors."""

    def __init__(self, residual: FloatsNC, hidden: FloatsND) -> None:
        self._residual, self._hidden = residual, hidden
        step = max(_BLOCK // (residual.shape[1] + hidden.shape[1]), 1)
        self.blocks = [slice(start, start + step) for start in range(0, len(residual), step)]
        self.norms = np.concatenate([self._norms(block) for block in self.blocks])

    def _rows(self, at: slice | Picks) -> tuple[Floats, Floats]:
        return self._residual[at].astype(np.float64, copy=False), self._hidden[at].astype(np.float64, copy=False)

    def _norms(self, block: slice) -> FloatsN:
        a, h = self._rows(block)
        norms: FloatsN = np.einsum("nc,nc->n", a, a) * (np.einsum("nd,nd->n", h, h) + 1.0)
        return norms

    def between(self, at: slice | Picks, others: Picks) -> Floats:
        """Squared distances (rows, others); copies are at 0 exactly."""
        (a, h), (b, g) = self._rows(at), self._rows(others)
        cross = h @ g.T
        cross += 1.0
        cross *= a @ b.T
        norms = self.norms[at][:, None] + self.norms[others]
        cross *= -2.0
        cross += norms
        norms *= _COPY
        cross[cross <= norms] = 0.0
        return cross

    def lower(self, nearest: FloatsN, at: slice | Picks, others: Picks) -> FloatsN:
        """The lesser of ``nearest`` (rows,) and the squared distances to ``others``."""
        for first in range(0, len(others), _PENDING):
            nearest = np.minimum(nearest, self.between(at, others[first : first + _PENDING]).min(axis=1))
        return nearest

    def lower_all(self, nearest: FloatsN, others: Picks) -> None:
        """``lower`` in place for all rows."""
        for block in self.blocks:
            nearest[block] = self.lower(nearest[block], block, others)


def factored_d2_sampling(
    residual: FloatsNC, hidden: FloatsND, n: int, rng: np.random.Generator, *, sequential: bool = False
) -> Picks:
    """k-means++ seeding over the products a_i ⊗ [h_i, 1], without forming them.

    The first pick has the largest norm (ties to the first position); each further one is drawn with
    probability proportional to D², its squared distance to the nearest pick. Where no mass is left
    (copies of what was picked) the draw is uniform over the rest. Needs n <= N.

    D² only falls, so an old D² is an upper bound: a proposal drawn in proportion to it, and accepted
    with probability new / old, follows the same law, at the cost of a few rows instead of all.
    Old values are renewed once too many proposals were wasted; what is drawn never depends on n.
    ``sequential`` makes a pass over all rows for each pick, with one uniform number per pick.
    O(N (C + D)) time and a pass per renewal, or O(n N (C + D)); O(N) memory beside the factors.
    Source: Ash et al. (2020); Arthur & Vassilvitskii (2007).
    """
    if n > len(residual):
        raise ValueError(f"asked for {n} picks of {len(residual)} gradients")
    gradients = _Gradients(residual, hidden)
    picks = [int(gradients.norms.argmax())]
    nearest = np.full(len(residual), np.inf)
    draw = _one if sequential else _accepted
    flushed = 0
    while len(picks) < n:
        gradients.lower_all(nearest, np.array(picks[flushed:]))
        nearest[picks[flushed:]] = 0.0
        flushed = len(picks)
        mass = np.cumsum(nearest)
        if 0 < mass[-1] < np.inf:
            picks += draw(gradients, nearest, mass, n - len(picks), rng)
        else:
            rest = np.ones(len(residual), dtype=np.bool_)
            rest[picks] = False
            picks += rng.permutation(np.flatnonzero(rest)).tolist()[: n - len(picks)]
    return np.array(picks[:n], dtype=np.int64)


def _drawn(mass: FloatsN, uniform: FloatsN) -> Picks:
    """Positions in proportion to the steps of the cumulative ``mass``."""
    at: Picks = np.minimum(np.searchsorted(mass, uniform * mass[-1], side="right"), len(mass) - 1)
    return at


def _one(_: _Gradients, __: FloatsN, mass: FloatsN, ___: int, rng: np.random.Generator) -> list[int]:
    """One pick from masses that are up to date."""
    return [int(_drawn(mass, np.array([rng.random()]))[0])]


def _accepted(gradients: _Gradients, stale: FloatsN, mass: FloatsN, n: int, rng: np.random.Generator) -> list[int]:
    """At least 1 and at most ``n`` picks, until too many proposals are wasted.

    The first is accepted at once, since nothing was picked after ``stale`` was computed.
    """
    picks: list[int] = []
    # A renewal costs about as much as this many proposals, whatever the number of picks.
    wasted, limit = 0, 2 * _PROPOSALS + len(stale) // 8
    while len(picks) < n and wasted <= limit:
        rows = _drawn(mass, rng.random(_PROPOSALS))
        threshold = rng.random(_PROPOSALS) * stale[rows]
        fresh = gradients.lower(stale[rows], rows, np.array(picks, dtype=np.int64))
        mutual = gradients.between(rows, rows)
        wasted += _PROPOSALS
        for i in np.flatnonzero(threshold < fresh):
            if threshold[i] < fresh[i]:
                picks.append(int(rows[i]))
                wasted -= 1
                np.minimum(fresh, mutual[i], out=fresh)
                fresh[i] = 0.0
    return picks[:n]
