"""Fisher information of a linear softmax head, I(x) = (diag p - p pᵀ) ⊗ h hᵀ, h with bias appended.

(diag p - p pᵀ) 1 = 0, so in an orthonormal basis U (C, C - 1) of the contrasts of the classes every
I(x) is G ⊗ h hᵀ with G = Uᵀ(diag p - p pᵀ)U of full rank: matrices have m = (C - 1)(D + 1) rows, row
(i, d) at i (D + 1) + d, and nothing is lost. A product V_x = G^½ ⊗ h is never formed: h ⊗ h has
(D + 1)(D + 2) / 2 different entries, so sums of I(x) and forms H_xᵀ M H_x, H_x = I ⊗ h, are one matrix
product of those entries with the different entries of the class blocks, m² / 2 multiplications a sample.
"""

from collections.abc import Callable, Iterator

import numpy as np

from al_plugin.axes import Floats, FloatsNC, FloatsND
from al_plugin.errors import StrategyError

LIMIT = 5000
_ELEMENTS = 1 << 16
_ROWS = 512


def check_size(classes: int, width: int, limit: int) -> None:
    """StrategyError where the head has more than ``limit`` weights C (D + 1): a square matrix is inverted."""
    found = classes * (width + 1)
    if found > limit:
        raise StrategyError(
            f"the Fisher information of {classes} classes and {width} hidden units has {found} rows, limit is {limit}",
            change="train with fewer hidden units or classes, or raise limit: memory grows with its square",
        )


def row_blocks(count: int, classes: int) -> Iterator[slice]:
    """Slices of the samples worked on at once, so that (rows, C, C) temporaries stay in cache."""
    rows = max(1, min(_ROWS, _ELEMENTS // classes**2))
    return (slice(start, start + rows) for start in range(0, count, rows))


def contrasts(classes: int) -> Floats:
    """Orthonormal basis (C, C - 1) of the vectors that sum to 0, after Helmert."""
    basis = np.zeros((classes, classes - 1))
    for k in range(1, classes):
        basis[:k, k - 1] = 1.0 / np.sqrt(k * (k + 1))
        basis[k, k - 1] = -k / np.sqrt(k * (k + 1))
    return basis


def probabilities(log_probs: FloatsNC) -> FloatsNC:
    """p in float64, rows scaled to sum 1."""
    probs: Floats = np.exp(log_probs.astype(np.float64))
    probs /= probs.sum(axis=1, keepdims=True)
    return probs


def head_inputs(hidden: FloatsND) -> FloatsND:
    """[h, 1], (N, D + 1), float64."""
    return np.concatenate([hidden.astype(np.float64), np.ones((len(hidden), 1))], axis=1)


def class_blocks(log_probs: FloatsNC) -> Floats:
    """G = Uᵀ(diag p - p pᵀ)U, shape (N, C - 1, C - 1); exactly 0 where p is one-hot."""
    probs = probabilities(log_probs)
    spread = -probs[:, :, None] * probs[:, None, :]
    diagonal = np.arange(probs.shape[1])
    spread[:, diagonal, diagonal] = 0.0
    # p - p² as p times the sum of the others: no cancellation for nearly certain predictions.
    spread[:, diagonal, diagonal] = -spread.sum(axis=2)
    basis = contrasts(probs.shape[1])
    blocks: Floats = basis.T @ (spread @ basis)
    return blocks


def weighted_gram(inputs: FloatsND, k: int, blocks: Callable[[slice], Floats]) -> Floats:
    """Σ_x B(x) ⊗ h hᵀ for inputs (N, D): shape (k D, k D). ``blocks`` gives B(x) of some rows, (rows, k, k)."""
    width = inputs.shape[1]
    first, second = np.triu_indices(k)
    sums = np.zeros((width, width, len(first)))
    for rows in row_blocks(len(inputs), k + 1):
        columns = np.ascontiguousarray(inputs[rows].T)
        packed = blocks(rows)[:, first, second]
        for d in range(width):
            sums[d, d:] += (columns[d:] * columns[d]) @ packed
    lower = np.tril_indices(width, -1)
    sums[lower] = sums.swapaxes(0, 1)[lower]
    matrix = np.empty((k, width, k, width))
    matrix[first, :, second, :] = matrix[second, :, first, :] = np.moveaxis(sums, 2, 0)
    return matrix.reshape(k * width, k * width)


def form_coefficients(matrix: Floats, width: int) -> Floats:
    """Coefficients (D, D, pairs) of h_d h_e, e >= d, in every block of H_xᵀ M H_x, M symmetric (k D, k D)."""
    k = len(matrix) // width
    first, second = np.triu_indices(k)
    pairs = np.moveaxis(matrix.reshape(k, width, k, width)[first, :, second, :], 0, 2)
    coefficients: Floats = pairs + pairs.swapaxes(0, 1)
    coefficients[np.arange(width), np.arange(width)] /= 2.0
    return coefficients


def quadratic_forms(inputs: FloatsND, coefficients: Floats) -> Floats:
    """H_xᵀ M H_x, shape (N, k, k): entry (i, j) is hᵀ M_ij h. One pass; call it on blocks of samples."""
    pairs = coefficients.shape[2]
    k = (int(np.sqrt(8 * pairs + 1)) - 1) // 2
    columns = np.ascontiguousarray(inputs.T)
    packed = np.zeros((len(inputs), pairs))
    for d in range(inputs.shape[1]):
        packed += (columns[d:] * columns[d]).T @ coefficients[d, d:]
    first, second = np.triu_indices(k)
    forms = np.empty((len(inputs), k, k))
    forms[:, first, second] = forms[:, second, first] = packed
    return forms


def woodbury_cores(forms: Floats, blocks: Floats, sign: int = 1) -> Floats:
    """K = (I + sign · G S)⁻¹ G with S = H_xᵀ M⁻¹ H_x: (M + sign · I(x))⁻¹ = M⁻¹ - sign · M⁻¹ H_x K H_xᵀ M⁻¹.

    Shapes (N, k, k), symmetric. No root of G is taken, so a singular G (certain predictions) is no case apart.
    """
    cores = np.linalg.solve(np.eye(blocks.shape[1]) + sign * (blocks @ forms), blocks)
    return (cores + cores.swapaxes(1, 2)) / 2.0


def inverse(matrix: Floats) -> Floats:
    """Inverse of a symmetric positive definite matrix, exactly symmetric."""
    found = np.linalg.inv(matrix)
    return (found + found.T) / 2.0


def prior_information(log_probs: FloatsNC, hidden: FloatsND, regularisation: float) -> Floats:
    """F = λI + Σ_x I(x) in contrasts of the classes, (m, m)."""
    k = log_probs.shape[1] - 1
    information = weighted_gram(head_inputs(hidden), k, lambda rows: class_blocks(log_probs[rows]))
    information[np.diag_indices(len(information))] += regularisation
    return information
