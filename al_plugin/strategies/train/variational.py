"""Networks whose weights are distributions."""

from typing import Annotated

from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies.registry import OneOf, Range, strategy
from al_plugin.strategies.train.provided import OF_A_COMMITTEE


@strategy(
    "bayes_by_backprop",
    reference="Blundell, Cornebise, Kavukcuoglu, Wierstra (2015)",
    cost="one training of twice the parameters",
    use="A posterior over all weights; the KL is tempered (kl_weight .01) while labels are few.",
    provides=OF_A_COMMITTEE,
)
def bayes_by_backprop(
    task: TrainingTask,
    *,
    hidden: Annotated[int, Range(1, None)] = 128,
    prior_mix: Annotated[float, Range(0, 1)] = 0.5,
    prior_wide: Annotated[float, Range(1e-6, None)] = 1.0,
    prior_narrow: Annotated[float, Range(1e-6, None)] = 0.0025,
    kl_weight: Annotated[float, Range(0, None)] = 0.01,
    rho_init: Annotated[float, Range(-20, 5)] = -4.0,
    kl_shares: Annotated[str, OneOf(("uniform", "halving"))] = "uniform",
) -> Fitted:
    """Independent Gaussian weights under a scale-mixture prior, trained on one draw per mini-batch.

    Loss: mean cross-entropy + ``kl_weight`` · KL/L, the KL sampled as log q - log p and shared among
    mini-batches by ``kl_shares``. The paper's ``kl_weight`` is 1; a few hundred labels do not carry it
    (docs/behaviour.md). Log-probabilities come from the means; posterior samples are draws of all
    weights. Weight decay is not applied: the prior takes its place.
    """
    from al_plugin.models.variational import Prior, by_backprop

    prior = Prior(prior_mix, prior_wide, prior_narrow)
    return by_backprop(task, hidden, prior, kl_weight, rho_init, kl_shares)
