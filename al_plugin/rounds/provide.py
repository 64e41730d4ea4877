"""Provide: exactly the signals that the chosen strategies name, from model, pool and answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from al_plugin.axes import Floats
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Inputs, Model
from al_plugin.math.moments import moments, scale_of, standardised
from al_plugin.math.sampling import id_hashes, mixed_keys
from al_plugin.models.outputs import task_of
from al_plugin.models.posterior import dropout_heads, laplace_heads, mc_predictions
from al_plugin.models.probes import PROBES, probed
from al_plugin.models.rebuilt import Networks
from al_plugin.models.restore import (
    averages_members,
    committee_signals,
    head_of,
    is_committee,
    member_log_probs,
    model_signals,
    posterior_members,
    scorer,
)
from al_plugin.rounds import seeds
from al_plugin.signals import PREDICTED

# Signals for the rows of a slice of the pool: mc_log_probs (T, rows, C), or the task's like; where the model's
# prediction is the mean over T, log_probs (or its like) and embeddings too.
Posterior = Callable[[slice], dict[str, Floats]]


@dataclass(frozen=True)
class Sampling:
    """How posterior samples of one network are drawn: ``kind`` dropout or laplace, ``passes`` T.

    ``precision`` is that of laplace's prior. A committee's samples are its members.
    """

    seed: int
    passes: int = 20
    kind: str = "dropout"
    precision: float = 1.0


@dataclass(frozen=True)
class Provided:
    """Signals by name; ``posterior`` gives mc_log_probs by slice where they are wanted.

    What ``posterior`` gives beside them is not among the signals.
    """

    signals: dict[str, np.ndarray]
    posterior: Posterior | None = None


def provide(wanted: set[str], model: Model, inputs: Inputs, sampling: Sampling) -> Provided:
    """The wanted signals that this round has; without a fitted model only those of the pool."""
    pool, round_number = inputs.pool, model.card["round"]
    found: dict[str, np.ndarray] = {}
    posterior = None
    if "frozen_embeddings" in wanted:
        mean, deviation = moments(pool.features, pool.groups)
        found["frozen_embeddings"] = standardised(pool.features, mean, scale_of(deviation), np.float32)
    if "sample_keys" in wanted:
        found["sample_keys"] = sample_keys(pool, sampling.seed, round_number, "scores")
    if "annotations" in wanted and inputs.annotations is not None:
        found["annotations"] = inputs.annotations
    if not model.card["fitted"]:
        return Provided(found)
    model = _scoring(model)
    predicted, samples = PREDICTED[task_of(model.card)]
    if not (samples in wanted and averages_members(model.card)):
        found[predicted], found["embeddings"] = model_signals(model.card, model.weights, pool.features)
    found |= {name: values for name, values in model.dynamics.items() if name in wanted}
    if wanted & {"head_weight", "head_bias"}:
        found["head_weight"], found["head_bias"] = head_of(model.weights)
    for name in wanted.intersection(PROBES):
        seed = seeds.number(sampling.seed, round_number, name)
        found[name] = probed(name, model.card, model.weights, pool.features, sampling.passes, seed)
    if wanted & {samples, "target_mc_log_probs"}:
        posterior, at_targets = _posterior(model, found.get("embeddings"), inputs, sampling)
        if "target_mc_log_probs" in wanted and inputs.targets is not None:
            found["target_mc_log_probs"] = at_targets(inputs.targets)
    return Provided(found, posterior)


def _scoring(model: Model) -> Model:
    card, weights = scorer(model.card, model.weights)
    return replace(model, card=card, weights=weights)


def _posterior(
    model: Model, embeddings: Floats | None, inputs: Inputs, sampling: Sampling
) -> tuple[Posterior, Callable[[Floats], Floats]]:
    """The same T samples twice: for slices of the pool, and for other features."""
    rng, samples = seeds.generator(sampling.seed, model.card["round"], "posterior"), PREDICTED[task_of(model.card)][1]
    if embeddings is None or is_committee(model.card):
        return _of_members(model, posterior_members(model.card, model.weights, sampling.passes, rng), inputs.pool)
    if sampling.kind == "laplace":
        labeled = embeddings[inputs.pool.positions(inputs.labeled.sample_ids)]
        heads = laplace_heads(model.weights, labeled, sampling.passes, rng, precision=sampling.precision)
    else:
        heads = dropout_heads(model.card, model.weights, sampling.passes, rng)
    return (
        lambda rows: {samples: mc_predictions(model.card, embeddings[rows], heads)},
        lambda features: mc_predictions(model.card, model_signals(model.card, model.weights, features)[1], heads),
    )


def _of_members(
    model: Model, weights: Sequence[Mapping[str, np.ndarray]], pool: Pool
) -> tuple[Posterior, Callable[[Floats], Floats]]:
    """Samples that are whole networks, and their mean where that is the prediction."""
    card = model.card
    if card["network"]["kind"] == "forest":
        return (
            lambda rows: {"mc_log_probs": member_log_probs(card, weights, pool.features[rows])},
            lambda features: member_log_probs(card, weights, features),
        )
    networks = Networks(card, weights)
    predicted, samples = PREDICTED[task_of(card)]

    def of_rows(rows: slice) -> dict[str, Floats]:
        if not averages_members(card):
            return {samples: networks.log_probs(pool.features[rows])}
        names = (samples, predicted, "embeddings")
        return dict(zip(names, committee_signals(card, networks, pool.features[rows]), strict=True))

    return of_rows, networks.log_probs


def sample_keys(pool: Pool, seed: int, round_number: int, purpose: str) -> np.ndarray:
    """One 64-bit key per sample for this seed, round and purpose."""
    return mixed_keys(id_hashes(pool.ids), seeds.number(seed, round_number, purpose))
