"""Networks with a discriminator that tells labelled samples from unlabelled ones."""

from dataclasses import replace
from typing import Annotated

from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies.registry import Range, strategy
from al_plugin.strategies.train.provided import OF_ONE_NETWORK
from al_plugin.strategies.train.single import single


@strategy(
    "vaal",
    reference="Sinha, Ebrahimi, Darrell (2019), variational adversarial active learning",
    cost="one training, and 3 · steps small steps of an autoencoder and a discriminator",
    use="Samples unlike the labelled ones, whatever the task; on a pool labelled at random no better than random.",
    provides=(*OF_ONE_NETWORK, "discriminator"),
)
def vaal(
    task: TrainingTask,
    *,
    hidden: Annotated[int, Range(1, None)] = 128,
    dropout: Annotated[float, Range(0, 0.95)] = 0.2,
    latent: Annotated[int, Range(1, None)] = 32,
    adversary_weight: Annotated[float, Range(0, None)] = 1.0,
    beta: Annotated[float, Range(0, None)] = 1.0,
    steps: Annotated[int, Range(1, None)] = 500,
) -> Fitted:
    """The network of ``single``, and beside it a discriminator D on the codes of an autoencoder.

    D learns labelled 1, unlabelled 0; the beta-VAE, on standardised features, minimises (½ squared
    error + ``beta`` · KL) / width + ``adversary_weight`` · (cross-entropy of D against all 1), in two
    steps for each of D's. Batches hold as many labelled as unlabelled samples, so D is 0.5 where
    both are as dense; unlabelled are the pool's rows that are no exact copy of a labelled sample.
    Label the lowest D first. Labels are never read; the autoencoder is not kept.
    """
    from al_plugin.models.adversarial import labeled_probability

    found = labeled_probability(task, latent, adversary_weight, beta, steps)
    return replace(single(task, hidden=hidden, dropout=dropout), pool_signals={"discriminator": found})
