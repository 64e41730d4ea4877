"""Greedy design of experiments: samples whose Fisher information makes a trace of the inverse small."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsND, Ints, Picks
from al_plugin.math.fisher import (
    form_coefficients,
    inverse,
    quadratic_forms,
    row_blocks,
    weighted_gram,
    woodbury_cores,
)

# Changes of the trace that differ by less than this share are ties: copies of a sample tie exactly,
# whatever the last bits of a product say.
_TIE = 1e-9
# Updates lose digits in proportion to the fall of the trace; beyond this fall all is computed afresh.
_FALL = 1e-4


@dataclass
class _Design:
    """M⁻¹ and, for each sample, S = H_xᵀ M⁻¹ H_x and T = H_xᵀ M⁻¹ A M⁻¹ H_x, moved along with M."""

    inputs: FloatsND
    blocks: Floats
    target: Floats
    inverse: Floats
    forms: Floats
    reach: Floats

    def rows(self) -> Iterator[slice]:
        return row_blocks(len(self.blocks), self.blocks.shape[1] + 1)

    def trace(self) -> float:
        """tr(M⁻¹ A)."""
        return float(np.vdot(self.inverse, self.target))

    def changes(self, sign: int) -> FloatsN:
        """Fall (sign 1) or rise (-1) of the trace were I(x) added to M or taken from it, (N,)."""
        out = np.empty(len(self.inputs))
        for rows in self.rows():
            cores = woodbury_cores(self.forms[rows], self.blocks[rows], sign)
            out[rows] = (cores * self.reach[rows]).sum(axis=(1, 2))
        return out

    def move(self, position: int, sign: int) -> None:
        """Add I(x) of a sample to M, or take it away: a change of rank C - 1 of everything kept."""
        one = slice(position, position + 1)
        core = sign * woodbury_cores(self.forms[one], self.blocks[one], sign)[0]
        k, width = len(core), self.inputs.shape[1]
        w = self.inverse.reshape(-1, width) @ self.inputs[position]
        w = w.reshape(k * width, k)
        goal = self.target @ w
        z = self.inverse @ goal
        inner = core @ (w.T @ goal)
        for rows in self.rows():
            a, y = _forms(self.inputs[rows], w), _forms(self.inputs[rows], z)
            left = a @ core
            self.forms[rows] -= left @ a.swapaxes(1, 2)
            half = left @ (y - 0.5 * (a @ inner)).swapaxes(1, 2)
            self.reach[rows] -= half + half.swapaxes(1, 2)
        self.inverse -= (w @ core) @ w.T


def trace_greedy(
    inputs: FloatsND, blocks: Floats, prior: Floats, target: Floats, n: int, forward: int
) -> tuple[Picks, FloatsN]:
    """n samples that make tr[(F + Σ_{x in S} I(x))⁻¹ A] small, I(x) = G_x ⊗ h hᵀ.

    ``inputs`` (N, D) with the bias, ``blocks`` G (N, k, k), ``prior`` F and ``target`` A (k D, k D).
    Greedily ``forward`` >= n samples are added, then those that are missed least are taken away. Ties:
    the first position is added, the last added is taken away. Returns positions (n,) in the order of
    adding and the trace before and after each addition (forward + 1,), never increasing. Time
    O(N (k D)² + forward · N k² (D + k) + (k D)³), memory O(N k² + (k D)²). Source: Ash et al. (2021).
    """
    added: list[int] = []
    design = _designed(inputs, blocks, prior, target)
    traces = [design.trace()]
    fresh = traces[0]
    while len(added) < forward:
        falls = design.changes(1)
        falls[added] = -np.inf
        greatest = falls.max()
        added.append(int(np.argmax(falls >= greatest - _TIE * abs(greatest))))
        design.move(added[-1], 1)
        traces.append(design.trace())
        if traces[-1] < _FALL * fresh:
            design = _designed(inputs, blocks, _with(prior, inputs, blocks, added), target)
            traces[-1] = fresh = design.trace()
    kept = np.array(added, dtype=np.int64)
    if forward > n:
        kept = kept[_missed_most(inputs[kept], blocks[kept], _with(prior, inputs, blocks, added), target, n)]
    return kept, np.array(traces)


def _missed_most(inputs: FloatsND, blocks: Floats, matrix: Floats, target: Floats, n: int) -> Ints:
    """Positions of n samples of which the others, all part of ``matrix``, are taken away one by one."""
    design = _designed(inputs, blocks, matrix, target)
    left = np.ones(len(inputs), dtype=np.bool_)
    for _ in range(len(inputs) - n):
        rises = np.where(left, design.changes(-1), np.inf)
        least = rises.min()
        last = int(np.flatnonzero(rises <= least + _TIE * abs(least))[-1])
        left[last] = False
        design.move(last, -1)
    return np.flatnonzero(left)


def _designed(inputs: FloatsND, blocks: Floats, matrix: Floats, target: Floats) -> _Design:
    inverted = inverse(matrix)
    width = inputs.shape[1]
    forms, reach = np.empty_like(blocks), np.empty_like(blocks)
    for kept, square in ((forms, inverted), (reach, inverted @ target @ inverted)):
        coefficients = form_coefficients(square, width)
        for rows in row_blocks(len(blocks), blocks.shape[1] + 1):
            kept[rows] = quadratic_forms(inputs[rows], coefficients)
    return _Design(inputs, blocks, target, inverted, forms, reach)


def _with(prior: Floats, inputs: FloatsND, blocks: Floats, added: list[int]) -> Floats:
    chosen = blocks[added]
    total: Floats = prior + weighted_gram(inputs[added], blocks.shape[1], lambda rows: chosen[rows])
    return total


def _forms(inputs: FloatsND, columns: Floats) -> Floats:
    """H_xᵀ W for columns W (k D, k): shape (N, k, k)."""
    width, k = inputs.shape[1], columns.shape[1]
    folded = columns.reshape(k, width, k).swapaxes(0, 1).reshape(width, k * k)
    return (inputs @ folded).reshape(len(inputs), k, k)
