"""Bayesian ridge regression to one-hot labels: a posterior in closed form, and the divergence of two of them.

A companion of the network for criteria that need a posterior over fixed features: the features are the
pool's own, standardised, so that posteriors of two rounds live in one space (a network's last layer does
not: it is trained anew on other features).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_plugin.axes import Floats, IntsL

# Variance of a one-hot label around its expectation, at most 1/4.
NOISE = 0.25
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Posterior:
    """Normal over weights (D, C): one precision matrix (D, D) for every class, one mean per class."""

    precision: Array
    mean: Array


def standardised(features: Floats) -> Array:
    """Features (N, D) with mean 0 and variance 1 over the samples, constant ones 0, and a column of ones."""
    wide = features.astype(np.float64)
    scale = wide.std(axis=0)
    centred = (wide - wide.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    return np.concatenate([centred, np.ones((len(wide), 1))], axis=1)


def posterior(inputs: Array, labels: IntsL, classes: int) -> Posterior:
    """After labels (L,) at inputs (L, D): precision D·I + XᵀX / NOISE, mean its inverse times XᵀY / NOISE.

    The prior N(0, I / D) gives a function of variance about 1 at standardised inputs.
    """
    width = inputs.shape[1]
    targets = np.eye(classes)[labels]
    precision = width * np.eye(width) + inputs.T @ inputs / NOISE
    return Posterior(precision, np.linalg.solve(precision, inputs.T @ targets / NOISE))


def divergence(p: Posterior, q: Posterior) -> float:
    """KL(p‖q) in nats, ≥ 0, summed over the classes.

    Σ_c ½ [tr(Λ_q Λ_p⁻¹) + (m_q - m_p)ᵀ Λ_q (m_q - m_p) - D + log|Λ_p| - log|Λ_q|].
    """
    classes, width = p.mean.shape[1], len(p.precision)
    step = q.mean - p.mean
    trace = float(np.trace(np.linalg.solve(p.precision, q.precision)))
    logs = float(np.linalg.slogdet(p.precision)[1] - np.linalg.slogdet(q.precision)[1])
    distance = float(np.einsum("dc,de,ec->", step, q.precision, step))
    return float(max(0.0, 0.5 * (classes * (trace - width + logs) + distance)))
