"""The random share as a control: how good the models were on the pool, and what selection did to the picture.

A query row of kind random was drawn evenly from all candidates before anything was chosen, and its label
came back after the model that is judged had been trained. So the share of right predictions among those
rows estimates, without bias, that model's accuracy on the candidates of its round (prequential: first
predict, then see; Dawid 1984). Rows the strategy chose estimate no such thing: they were chosen because
the model was unsure of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from al_plugin.math import forecast
from al_plugin.math.forecast import PowerLaw
from al_plugin.math.intervals import Estimate, Refused, difference, effective_size, wilson


@dataclass(frozen=True)
class Counted:
    """Answered rows of one round's query that the round's model had not been trained on.

    ``random`` and ``chosen`` count rows by how they came into the query, ``*_right`` those whose label
    the model had predicted. ``population``: candidates at the draw, infinite where it is not known.
    """

    round: int
    random: int
    random_right: int
    chosen: int
    chosen_right: int
    population: float


def accuracy_on_pool(rounds: Sequence[Counted]) -> Estimate | Refused:
    """Accuracy of the rounds' models on their candidates, averaged by number of random rows.

    One round: that model's accuracy. Several: the pooled share of right predictions, with a Wilson
    interval at the size Σk, corrected for finite populations by k² / Σ k_r² / e_r with e_r the effective
    size of round r. Conservative: rounds that differ spread less than one common draw would.
    """
    drawn = [counted for counted in rounds if counted.random]
    total = sum(counted.random for counted in drawn)
    if not total:
        return Refused("no random row was answered that its model had predicted")
    right = sum(counted.random_right for counted in drawn)
    spread = sum(counted.random**2 / effective_size(counted.random, counted.population) for counted in drawn)
    return wilson(right, total, effective=total**2 / spread if spread > 0 else float("inf"))


def accuracy_on_chosen(rounds: Sequence[Counted]) -> Estimate | Refused:
    """Accuracy on the rows the strategy chose: biased by selection, for comparison only."""
    total = sum(counted.chosen for counted in rounds)
    if not total:
        return Refused("no chosen row was answered that its model had predicted")
    return wilson(sum(counted.chosen_right for counted in rounds), total)


def selection_bias(rounds: Sequence[Counted]) -> Estimate | Refused:
    """Accuracy on random minus on chosen rows, over rounds that have both; above 0: hard samples were chosen."""
    both = [counted for counted in rounds if counted.random and counted.chosen]
    pool, chosen = accuracy_on_pool(both), accuracy_on_chosen(both)
    if isinstance(pool, Refused):
        return pool
    return chosen if isinstance(chosen, Refused) else difference(pool, chosen)


@dataclass(frozen=True)
class Saved:
    """Labels that random drawing would have needed for the same metric, and the difference to those spent."""

    target: float
    spent: int
    random: Estimate
    saved: Estimate


def labels_saved(spent: int, reached: float, random: PowerLaw) -> Saved | Refused:
    """Labels saved against random drawing: those at which the random curve reaches ``reached``, less ``spent``.

    ``reached`` was measured on the same evaluation set as the random curve, with ``spent`` labels; its
    sampling error is drawn along with the curve. Model-based: it holds if the random curve is a power
    law. Refused where half of the curves never get there.
    """
    rng = np.random.default_rng(19_450_601)
    error = random.scatter * np.sqrt(max(reached * (1.0 - reached), 0.25 / random.m) / random.m)
    targets = reached + error * rng.standard_normal(len(random.a))
    needed = forecast.needed_draws(random, targets)
    if np.isinf(needed).mean() >= 0.5:
        return Refused(
            f"half of the random curves that fit never reach {reached:.3f}: the random curve is too short for a number"
        )
    found = forecast.summary_of(needed)
    low, high = (None if end is None else end - spent for end in (found.low, found.high))
    return Saved(reached, spent, found, Estimate(found.value - spent, low, high))
