"""From a model card and weights back to signals.

``card["network"]["kind"]`` says how the weights are to be read: ``mlp`` one network, ``ensemble``
whole networks under ``members.k.``, ``split_head`` one trunk with heads under ``heads.k.``,
``variational`` means under the plain names and ``rho`` beside them (scale = log(1 + e^rho)),
``swag`` the mean weights under the plain names, variances and deviations under ``swag.``,
``cosine`` one network whose embeddings have length 1 / temperature and whose head has no bias,
``proxy`` the target under the plain names and the network that scores in its place under ``proxy.``,
``estimator`` a classifier of scikit-learn's kind in skops' format, ``forest`` trees as arrays.
``card["calibration_temperature"]``, where there is one, divides the log-probabilities of the model's
prediction (of the mean, for a committee), and so does ``network["proxy_calibration_temperature"]`` the proxy's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from al_plugin.axes import Floats
from al_plugin.math.swag import weight_draw
from al_plugin.math.temperature import tempered
from al_plugin.models.rebuilt import Networks, Weights, understood

HEAD = ("head.weight", "head.bias")
# Prefixes of what is no part of the network itself.
_BESIDE = ("proxy.", "swag.")


@understood()
def members(card: Mapping[str, Any], weights: Weights) -> list[Weights]:
    """The weights of each network of a model: one, or as many as a committee has."""
    network = card["network"]
    if network["kind"] == "ensemble":
        return [_under(weights, f"members.{k}.") for k in range(int(network["members"]))]
    if network["kind"] == "split_head":
        trunk = {name: array for name, array in weights.items() if not name.startswith("heads.")}
        return [{**trunk, **_under(weights, f"heads.{k}.", "head.")} for k in range(int(network["members"]))]
    return [
        {name: array for name, array in weights.items() if not name.endswith(".rho") and not name.startswith(_BESIDE)}
    ]


@understood()
def scorer(card: Mapping[str, Any], weights: Weights) -> tuple[Mapping[str, Any], Weights]:
    """Card and weights of the network that scores the pool: the proxy where there is one, else the model."""
    network = card["network"]
    if network["kind"] != "proxy":
        return card, weights
    own = {**network, "kind": "mlp", "hidden": network["proxy_hidden"]}
    calibrated = {"calibration_temperature": network.get("proxy_calibration_temperature")}
    return {**card, "network": own, **calibrated}, _under(weights, "proxy.")


@understood()
def posterior_members(
    card: Mapping[str, Any], weights: Weights, passes: int, rng: np.random.Generator
) -> list[Weights]:
    """The networks that stand for the posterior: a committee's members, or draws of all weights."""
    if card["network"]["kind"] == "swag":
        mean, variances, deviations = (
            members(card, weights)[0],
            _under(weights, "swag.variance."),
            _under(weights, "swag.deviations."),
        )
        return [weight_draw(mean, variances, deviations, rng) for _ in range(passes)]
    if card["network"]["kind"] != "variational":
        return members(card, weights)
    means = members(card, weights)[0]
    scales = {
        name.removesuffix(".rho"): np.logaddexp(0.0, rho) for name, rho in weights.items() if name.endswith(".rho")
    }
    return [
        {
            name: mean + (scales[name] * rng.standard_normal(mean.shape)).astype(np.float32) if name in scales else mean
            for name, mean in means.items()
        }
        for _ in range(passes)
    ]


@understood()
def is_committee(card: Mapping[str, Any]) -> bool:
    """Whether posterior samples are whole networks rather than draws of the last layer."""
    return card["network"]["kind"] in ("ensemble", "split_head", "variational", "swag", "forest")


def model_signals(card: Mapping[str, Any], weights: Weights, features: Floats) -> tuple[Floats, Floats]:
    """Log-probabilities (N, C) and embeddings (N, D) of ``features``.

    A committee's are the log of its mean probabilities, and the embeddings of its first member.
    Posterior samples, heads and embeddings are not tempered: the temperature is fitted to this
    prediction alone.
    """
    found, embeddings = _predicted(card, weights, features)
    return _calibrated(card, found), embeddings


@understood()
def averages_members(card: Mapping[str, Any]) -> bool:
    """Whether the model's prediction is the mean of its posterior samples."""
    return card["network"]["kind"] in ("ensemble", "split_head")


def committee_signals(card: Mapping[str, Any], networks: Networks, features: Floats) -> tuple[Floats, Floats, Floats]:
    """Log-probabilities (T, N, C) of each member, and the ``model_signals`` of a model that averages them."""
    each, mean, embeddings = networks.both(features)
    return each, _calibrated(card, mean), embeddings


def member_log_probs(card: Mapping[str, Any], networks: Sequence[Weights], features: Floats) -> Floats:
    """Log-probabilities (T, N, C) of each network, float32; a forest's networks are its trees."""
    if card["network"]["kind"] == "forest":
        from al_plugin.models.forest import tree_log_probs

        return tree_log_probs(card, networks[0], features)
    return Networks(card, networks).log_probs(features)


def head_of(weights: Weights) -> tuple[Floats, Floats]:
    """Weight (C, D) and bias (C,) of the last linear layer."""
    return weights[HEAD[0]], weights[HEAD[1]]


@understood()
def _calibrated(card: Mapping[str, Any], log_probs: Floats) -> Floats:
    temperature = card.get("calibration_temperature")
    return log_probs if temperature is None else tempered(log_probs, temperature)


def _predicted(card: Mapping[str, Any], weights: Weights, features: Floats) -> tuple[Floats, Floats]:
    if _kind(card) == "estimator":
        from al_plugin.models.estimator import estimator_signals

        return estimator_signals(card, weights, features)
    if _kind(card) == "forest":
        from al_plugin.models.forest import forest_signals

        with understood():
            return forest_signals(card, weights, features)
    return Networks(card, members(card, weights)).mean(features)


@understood()
def _kind(card: Mapping[str, Any]) -> str:
    return str(card["network"]["kind"])


def _under(weights: Weights, prefix: str, becomes: str = "") -> dict[str, np.ndarray]:
    return {becomes + name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
