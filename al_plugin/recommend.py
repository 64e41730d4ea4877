"""Which recipe suits the data at hand, why, and on what evidence."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from al_plugin import campaign, layout
from al_plugin.config import require_classes
from al_plugin.math.moments import moments, scale_of, standardised
from al_plugin.math.redundancy import near_duplicates
from al_plugin.settings import Params
from al_plugin.strategies import recipes

# From here on the rare classes drown in plain accuracy.
_IMBALANCED = 10.0


@dataclass(frozen=True)
class Seen:
    """The facts that the rules ask for, and sizes that cautions are made of."""

    facts: recipes.Facts
    classes: tuple[str, ...]
    pool: int
    evaluation: int

    @property
    def labels(self) -> int:
        """Number of labels."""
        return sum(self.facts.labels_per_class)

    @property
    def imbalance(self) -> float | None:
        """Labels of the most frequent class over those of the rarest seen one, or None."""
        counts = [count for count in self.facts.labels_per_class if count]
        return max(counts) / min(counts) if counts else None


@dataclass(frozen=True)
class Recommendation:
    """A recipe with what speaks for it, what was measured, and what to keep in mind."""

    recipe: str
    reasons: tuple[str, ...]
    evidence: tuple[str, ...]
    cautions: tuple[str, ...]


def seen(params: Params) -> Seen:
    """Look at the campaign's pool, labels and evaluation set."""
    require_classes(params, "al recommend")
    classes = params.campaign.classes
    pool = campaign.read_pool(params)
    evaluation = campaign.read_evaluation(params, pool)
    labeled = campaign.read_labeled(classes).per_class(len(classes)) if Path(layout.LABELED).exists() else []
    rng = np.random.default_rng(params.campaign.seed)
    mean, deviation = moments(pool.features, pool.groups)
    share = near_duplicates(standardised(pool.features, mean, scale_of(deviation)), rng)
    facts = recipes.Facts(tuple(labeled or [0] * len(classes)), len(pool), params.select.n, share)
    return Seen(facts, classes, len(pool), len(evaluation.labels))


def recommended(found: Seen, simulation: Mapping[str, Any] | None) -> Recommendation:
    """The rule's recipe, unless a simulation shows another to be better after correction for all pairs.

    A simulation counts only past the cold start: what it starts from is labels of every class.
    """
    advice = recipes.suited(found.facts)
    reasons, evidence, recipe = [advice.reason], [], advice.recipe
    if simulation is None:
        evidence.append("no simulation of this campaign's labels yet: al recommend --simulate, or al simulate")
    else:
        evidence += _measured(simulation)
        if recipe == "typiclust":
            evidence.append("it does not decide here: it started from random labels, this is a cold start")
        else:
            recipe, why = _decided(recipe, simulation["results"])
            reasons += why
    return Recommendation(recipe, tuple(reasons), tuple(evidence), tuple(_cautions(found, simulation)))


def _decided(rule: str, results: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The recipe that the simulation leaves standing, and its reasons."""
    arms = results["arms"]
    if rule not in arms:
        return rule, [f"{rule} was not simulated"]
    better = [name for name in arms if _beats(name, rule, results["pairs"])]
    if better:
        best = max(better, key=lambda name: arms[name]["area"])
        return best, [f"the simulation finds {best} better than {rule}: {_words(best, rule, results['pairs'])}"]
    own = next(one for one in results["against_reference"] if one["first"] == rule)
    if own["verdict"] == "better":
        return rule, ["the simulation finds it better than random, and no arm better than it"]
    return rule, [f"the simulation finds no arm better than it; against random it is {own['verdict']}"]


def _beats(name: str, rule: str, pairs: list[dict[str, Any]]) -> bool:
    wanted = {(name, rule): "better", (rule, name): "worse"}
    return any(wanted.get((one["first"], one["second"])) == one["verdict"] for one in pairs)


def _words(name: str, rule: str, pairs: list[dict[str, Any]]) -> str:
    one = next(one for one in pairs if {one["first"], one["second"]} == {name, rule})
    sign = 1 if one["first"] == name else -1
    low, high = sorted((sign * one["low"], sign * one["high"]))
    return f"{sign * one['mean']:+.2f} points ({low:+.2f} to {high:+.2f})"


def _measured(simulation: Mapping[str, Any]) -> list[str]:
    plan, results = simulation["plan"], simulation["results"]
    size = f"{plan['seeds']} seeds, {plan['budgets'][0]} to {plan['budgets'][-1]} labels"
    found = [f"simulation {simulation['key']}, {size}: area less random's in points (95 % interval)"]
    against = sorted(results["against_reference"], key=lambda one: -one["mean"])
    for one in against:
        interval = "" if one["low"] is None else f" ({one['low']:+.2f} to {one['high']:+.2f})"
        found.append(f"  {one['first']}: {one['mean']:+.2f}{interval}, {one['verdict']}")
    return found


def _cautions(found: Seen, simulation: Mapping[str, Any] | None) -> list[str]:
    cautions = []
    half = 100.0 * 1.96 * sqrt(0.9 * 0.1 / max(1, found.evaluation))
    cautions.append(f"{found.evaluation} evaluation samples tell an accuracy of 90 % to ± {half:.1f} points (95 %)")
    if found.imbalance is not None and found.imbalance >= _IMBALANCED:
        cautions.append(
            f"the most frequent class has {found.imbalance:.0f} times the labels of the rarest: look at balanced "
            "accuracy (al simulate --metric balanced_accuracy)"
        )
    asked = found.facts.n or 0
    if asked > found.pool - found.labels:
        cautions.append(f"select.n is {asked}, and {found.pool - found.labels} samples are left without a label")
    if simulation is not None and sum(simulation["data"]["per_class"]) != found.labels:
        then = sum(simulation["data"]["per_class"])
        cautions.append(f"the simulation was made on {then} labels, now there are {found.labels}: run it again")
    return cautions
