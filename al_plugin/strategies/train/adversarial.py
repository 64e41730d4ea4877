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
    warm=True,
)
def vaal(
    task: TrainingTask,
    *,
    hidden: Annotated[int, Range(1, None)] = 128,
    dropout: Annotated[float, Range(0, 0.95)] = 0.2,
    latent: Annotated[int, Range(1, None)] = 32,
    adversary_weight: Annotated[float, Range(0, None)] = 1.0,
    beta: Annotated[float, Range(0, None)] = 1.0,
    steps: Annotated[int, Range(1, None)] = 200,
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


@strategy(
    "mal",
    reference="Ebrahimi, Gan, Chen, Biamby, Salahi, Laielli, Zhu, Darrell (2020), minimax active learning",
    cost="one training with as many unlabelled as labelled samples in each step, and steps of a discriminator",
    use="Semi-supervised: the unlabelled samples shape the features, and show where labels are missing.",
    provides=("log_probs", "embeddings", "pool_dispersion", "pool_flips", "discriminator"),
)
def mal(
    task: TrainingTask,
    *,
    hidden: Annotated[int, Range(1, None)] = 128,
    dropout: Annotated[float, Range(0, 0.95)] = 0.0,
    temperature: Annotated[float, Range(0.001, None)] = 0.05,
    entropy_weight: Annotated[float, Range(0, None)] = 0.1,
    steps: Annotated[int, Range(1, None)] = 100,
) -> Fitted:
    """A cosine classifier raises the entropy of unlabelled samples while its encoder lowers it.

    p = softmax(Wᵀ f / (|f| T)), f the hidden layer, T = ``temperature``. Loss: cross-entropy on
    labelled batches, and ``entropy_weight`` · entropy H(p) on unlabelled ones, which W maximises and
    the encoder minimises through a gradient reversal; the curve's loss is cross-entropy minus
    ``entropy_weight`` · H. Then ``steps`` of a discriminator (labelled 1, unlabelled 0) on f / |f|,
    which leaves the encoder alone; many steps learn the labelled samples by heart. Unlabelled are
    the pool's rows that are no exact copy of a labelled sample. Label low D with high entropy first.
    """
    from al_plugin.models.minimax import minimax

    return minimax(task, hidden, dropout, temperature, entropy_weight, steps)
