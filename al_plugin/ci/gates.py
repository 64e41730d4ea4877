"""What a round must hold before people are asked for more: quality, and the budget of answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from al_plugin import commands, history, layout
from al_plugin.data.queries import QueryRow
from al_plugin.errors import CampaignError
from al_plugin.settings import Gate, Params
from al_plugin.tracking import promote

# Of these less is better.
_LESS = ("nll", "ece", "rmse", "mae")
# Decimal fractions are not exact: 0.93 - 0.92 is more than 0.01.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Verdict:
    """One gate: whether the round passes, why in a line, and whether it is worse than what it was compared with."""

    gate: str
    passes: bool
    text: str
    worse: bool = False


@dataclass(frozen=True)
class Reference:
    """What a round is compared with."""

    value: float
    name: str


def quality(gate: Gate, value: float | None, reference: Reference | None) -> Verdict:
    """Whether the metric fell by ``gate.max_drop`` at most."""
    name = "gate.max_drop"
    if value is None:
        return Verdict(name, True, f"no {gate.metric} yet")
    if reference is None:
        why = "no limit" if gate.max_drop is None else "nothing to compare with"
        return Verdict(name, True, f"{gate.metric} {value:.4f}, {why}")
    drop = (value - reference.value) if gate.metric in _LESS else (reference.value - value)
    text = f"{gate.metric} {value:.4f} against {reference.value:.4f} of {reference.name}"
    if gate.max_drop is None or drop <= gate.max_drop + _ROUNDING:
        return Verdict(name, True, text, drop > _ROUNDING)
    return Verdict(name, False, f"{text}: worse by {drop:.4f}, {gate.max_drop:g} is allowed", worse=True)


def budget(gate: Gate, answers: int, query: Sequence[QueryRow], *, is_open: bool) -> Verdict:
    """Whether the answers given and those the next query asks for stay within ``gate.budget``."""
    name, asked = "gate.budget", sum(row.annotators for row in query)
    if gate.budget is None:
        return Verdict(name, True, f"{answers} answers, no limit")
    if is_open:
        return Verdict(name, True, f"{answers} of {gate.budget} answers, the query was open before")
    text = f"{answers} answers and {asked} more of the next query, {gate.budget} are allowed"
    return Verdict(name, answers + asked <= gate.budget, text)


def reference(params: Params, notes: list[str]) -> Reference | None:
    """The champion's metric; without a champion, or without MLflow, the best of the past rounds in Git.

    Only what was measured on the same evaluation set compares.
    """
    metric, here = params.gate.metric, promote.evaluated_on()
    known, trouble = promote.champion(params)
    if trouble:
        notes.append(f"{trouble}; compared with the rounds in Git instead")
    if known is not None:
        if known.evaluated_on not in (None, here):
            notes.append(f"the champion, round {known.round}, was measured on another evaluation set")
        elif metric in known.metrics:
            return Reference(known.metrics[metric], f"the champion, round {known.round}")
    return _best(metric, here, notes)


def _best(metric: str, evaluated_on: str | None, notes: list[str]) -> Reference | None:
    past = [one for one in history.past_rounds().values() if history.hashes(one.lock).get(layout.EVAL) == evaluated_on]
    contents = {one.number: history.read_object(one, layout.TRAIN_METRICS) for one in past}
    if None in contents.values() and commands.dvc("remote", "list"):
        try:
            commands.dvc("fetch", "--all-commits", layout.TRAIN_METRICS)
        except CampaignError as error:
            notes.append(f"not all past rounds could be compared with ({error})")
        contents = {one.number: history.read_object(one, layout.TRAIN_METRICS) for one in past}
    measured = {number: measure(trained, metric) for number, trained in contents.items() if trained}
    values = {number: value for number, value in measured.items() if value is not None}
    if not values:
        return None
    pick = min if metric in _LESS else max
    best = pick(values, key=lambda number: values[number])
    return Reference(values[best], f"round {best}, the best in Git")


def measure(trained: Mapping[str, Any], metric: str) -> float | None:
    """The metric of a round's evaluation, None where there is no model."""
    value = (history.evaluation(trained) or {}).get(metric)
    return float(value) if isinstance(value, int | float) else None
