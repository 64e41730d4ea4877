"""A cosine classifier and its encoder that play minimax with the entropy of unlabelled samples."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import normalize

from al_plugin.axes import Floats
from al_plugin.models.adversarial import (
    RATE,
    discriminator,
    drawing,
    judged,
    standardising,
    told_apart,
)
from al_plugin.models.body import Network
from al_plugin.models.checkpoint import Draws
from al_plugin.models.fit import Step, cross_entropy, fit, seeded
from al_plugin.models.forward import forward
from al_plugin.models.network import (
    arrays_of,
    described,
    new_network,
    own_seed,
    pool_classes,
    settings_of,
    tensors_of,
    unlabeled_rows,
)
from al_plugin.models.optimiser import AdamW
from al_plugin.models.recorder import Recorder
from al_plugin.models.task import Fitted, TrainingTask


class Cosine(Network):
    """A network whose logits are Wᵀ f / (|f| T), f the hidden layer: no bias, cosines up to |W_c|.

    ``features`` gives f / (|f| T), so the head reads as a plain linear layer.
    """

    def __init__(self, plain: Network, *, temperature: float) -> None:
        head = nn.Linear(plain.head.in_features, plain.head.out_features, bias=False)
        super().__init__(len(plain.mean), plain.trunk, head, dropout=plain.drop.p)
        self.standardise(plain.mean, plain.scale)
        self.augment = plain.augment
        self.temperature = temperature

    def features(self, inputs: Tensor) -> Tensor:
        """Hidden activations of length 1 / temperature, (B, hidden); all 0 where no unit is active."""
        return normalize(super().features(inputs), dim=1) / self.temperature


class Reversal(Function):
    """The identity, whose gradient changes sign on its way back (Ganin & Lempitsky 2015)."""

    @staticmethod
    def forward(_context: object, values: Tensor) -> Tensor:
        """``values`` as they are."""
        return values.view_as(values)

    @staticmethod
    def backward(_context: object, gradient: Tensor) -> Tensor:
        """Minus the gradient."""
        return -gradient


def negative_entropy(model: Cosine, inputs: Tensor) -> Tensor:
    """Mean Σ_c p_c log p_c, nats: minimised, the head raises the entropy and the encoder lowers it."""
    reversed_features: Tensor = Reversal.apply(model.features(inputs))  # type: ignore[no-untyped-call]
    log_probs = torch.log_softmax(model.head(reversed_features), dim=1)
    return (log_probs.exp() * log_probs).sum(dim=1).mean()


def minimax(
    task: TrainingTask, hidden: int, dropout: float, temperature: float, entropy_weight: float, steps: int
) -> Fitted:
    """Train classifier and encoder against each other, then a discriminator on the features they leave."""
    torch.set_num_threads(task.threads)
    rows = unlabeled_rows(task)
    rng = np.random.default_rng(own_seed(task, 3))
    plays = entropy_weight > 0 and len(rows) > 0
    with seeded(task.seed):
        model = Cosine(new_network(task, hidden=hidden, dropout=dropout), temperature=temperature)
        seen = Recorder(task, lambda: pool_classes(model, task))

        def loss(step: Step) -> Tensor:
            if not plays:
                return cross_entropy(step)
            unlabeled = torch.from_numpy(task.pool_features[rng.choice(rows, task.batch_size)])
            return cross_entropy(step) + entropy_weight * negative_entropy(model, unlabeled.to(step.targets.device))

        fit(
            model,
            *tensors_of(task),
            settings_of(task),
            loss=loss,
            seen=seen,
            keep=(Draws(rng),),
        )
    network = described(task, "cosine", hidden=hidden, dropout=dropout) | {"temperature": temperature}
    signals = {"discriminator": _labeled_probability(task, model, rows, steps)}
    return Fitted(arrays_of(model), network, seen.curve, seen.forgetting, seen.dispersion, signals)


def _labeled_probability(task: TrainingTask, model: Cosine, rows: np.ndarray, steps: int) -> Floats:
    """Discriminator's probability (N,) that a pool sample is labelled, from its features."""
    pool = forward(model, task.pool_features)[1]
    if len(rows) == 0:
        return np.full(len(pool), 0.5)
    standard, seed = standardising(pool), own_seed(task, 4)
    draw = drawing(forward(model, task.features)[1], pool, rows, task.batch_size, standard, seed)
    with seeded(seed):
        judge = discriminator(pool.shape[1])
        update = AdamW(list(judge.parameters()), task.weight_decay)
        for _ in range(steps):
            judge.zero_grad(set_to_none=True)
            told_apart(judge, *draw()).backward()  # type: ignore[no-untyped-call]
            update(RATE)
    return judged(lambda part: judge(standard(part)), pool)
