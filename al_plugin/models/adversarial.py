"""Who is labelled already? A discriminator between the labelled samples and the rest of the pool."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from al_plugin.axes import Floats, Ints
from al_plugin.math.moments import moments, scale_of, standardised
from al_plugin.models.fit import seeded
from al_plugin.models.network import own_seed, unlabeled_rows
from al_plugin.models.optimiser import AdamW
from al_plugin.models.task import BATCH, TrainingTask

# Width of the hidden layers, and the learning rate of Sinha, Ebrahimi & Darrell (2019).
UNITS, RATE = 128, 5e-4
# Steps of the autoencoder for each of the discriminator, ibid.
FOOLING = 2

# Standardised rows as a tensor.
Standard = Callable[[Floats], Tensor]
# A labelled and an unlabelled batch, standardised, (B, width) each.
Draw = Callable[[], tuple[Tensor, Tensor]]


class VariationalAutoencoder(nn.Module):
    """Gaussian encoder and decoder with one hidden layer each; the decoder's variance is 1."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(width, UNITS), nn.ReLU(), nn.Linear(UNITS, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, UNITS), nn.ReLU(), nn.Linear(UNITS, width))

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (B, latent) of the code."""
        mean, log_variance = self.encoder(inputs).chunk(2, dim=1)
        return mean, log_variance

    def cost(self, inputs: Tensor, code: Tensor, mean: Tensor, log_variance: Tensor, beta: float) -> Tensor:
        """Mean over samples of (½ |x - decoded|² + beta · KL(q ‖ N(0, 1))) / width, nats per feature."""
        missed = 0.5 * (inputs - self.decoder(code)).square().sum(dim=1)
        divergence = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(dim=1)
        mean_cost: Tensor = (missed + beta * divergence).mean() / inputs.shape[1]
        return mean_cost


def drawn(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A code (B, latent) of each sample; draws from torch's generator."""
    return mean + (0.5 * log_variance).exp() * torch.randn_like(mean)


def discriminator(width: int) -> nn.Module:
    """Two hidden layers; the logit (B, 1) of being labelled."""
    return nn.Sequential(nn.Linear(width, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS), nn.ReLU(), nn.Linear(UNITS, 1))


def told_apart(judge: nn.Module, labeled: Tensor, unlabeled: Tensor) -> Tensor:
    """Cross-entropy of the judge, nats: labelled 1, unlabelled 0."""
    logits = judge(torch.cat([labeled, unlabeled]))[:, 0]
    truth = torch.cat([torch.ones(len(labeled)), torch.zeros(len(unlabeled))])
    return binary_cross_entropy_with_logits(logits, truth)


def drawing(labeled: Floats, pool: Floats, rows: Ints, size: int, standard: Standard, seed: int) -> Draw:
    """Batches of ``size`` labelled samples and ``rows`` of the pool, with replacement: both count alike."""
    rng = np.random.default_rng(seed)
    return lambda: (
        standard(labeled[rng.integers(len(labeled), size=size)]),
        standard(pool[rng.choice(rows, size)]),
    )


def labeled_probability(task: TrainingTask, latent: int, adversary_weight: float, beta: float, steps: int) -> Floats:
    """Discriminator's probability (N,) that a pool sample is labelled, at the mean of its code.

    Labels are not read. Where all of the pool is labelled there is nothing to tell apart: 0.5.
    """
    rows = unlabeled_rows(task)
    if len(rows) == 0:
        return np.full(len(task.pool_features), 0.5)
    torch.set_num_threads(task.threads)
    standard, seed = standardising(task.pool_features, task.body.groups), own_seed(task, 2)
    draw = drawing(task.features, task.pool_features, rows, task.batch_size, standard, seed)
    with seeded(seed):
        autoencoder, judge = VariationalAutoencoder(task.features.shape[1], latent), discriminator(latent)
        _play(autoencoder, judge, draw, adversary_weight, beta, steps)
    return judged(lambda part: judge(autoencoder.encode(standard(part))[0]), task.pool_features)


def standardising(pool: Floats, groups: int = 0) -> Standard:
    """Centre and scale rows by the pool's ``moments``; a constant feature keeps scale 1."""
    mean, deviation = moments(pool, groups or pool.shape[1])
    scale = scale_of(deviation)
    return lambda rows: torch.from_numpy(standardised(rows, mean, scale, np.float32))


def judged(logits: Callable[[Floats], Tensor], inputs: Floats) -> Floats:
    """Probabilities (N,) of ``logits`` (rows, 1), float64: the order survives where float32 is all 0 or 1."""
    with torch.inference_mode():
        parts = [logits(inputs[at : at + BATCH])[:, 0].double().sigmoid() for at in range(0, len(inputs), BATCH)]
    found: Floats = torch.cat(parts).numpy()
    return found


def _play(
    autoencoder: VariationalAutoencoder,
    judge: nn.Module,
    draw: Draw,
    adversary_weight: float,
    beta: float,
    steps: int,
) -> None:
    """Steps of the autoencoder, which also wants all codes taken for labelled, and of the judge in turn."""
    fool, judge_better = (AdamW(list(one.parameters()), 0.0) for one in (autoencoder, judge))
    for _ in range(steps):
        for _ in range(FOOLING):
            inputs = torch.cat(draw())
            mean, log_variance = autoencoder.encode(inputs)
            code = drawn(mean, log_variance)
            logits = judge(code)
            fooled = binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
            autoencoder.zero_grad(set_to_none=True)
            cost = autoencoder.cost(inputs, code, mean, log_variance, beta) + adversary_weight * fooled
            cost.backward()  # type: ignore[no-untyped-call]
            fool(RATE)
        with torch.no_grad():
            codes = [drawn(*autoencoder.encode(inputs)) for inputs in draw()]
        # The autoencoder's steps have left gradients in the judge.
        judge.zero_grad(set_to_none=True)
        told_apart(judge, *codes).backward()  # type: ignore[no-untyped-call]
        judge_better(RATE)
