"""From finished runs to what can be claimed: a document of plain values, the same for the same runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from al_plugin.axes import Floats, FloatsN, Ints
from al_plugin.math.comparison import Paired, deviation_interval, equivalent, holm, paired, seeds_needed
from al_plugin.math.learning_curve import area_under, censored_median, labels_to_target, mean_band
from al_plugin.schemas import schema
from al_plugin.simulate.plan import REFERENCE

SCHEMA = schema("simulation")
ALPHA = 0.05
# Below this many seeds even the order of methods is chance (Werner et al. 2024).
FEWEST_SEEDS = 5
_POINTS = 100.0


@dataclass(frozen=True)
class Question:
    """What is asked of the runs: the metric, its target (None: what random ends at), and the difference of interest.

    ``difference`` is in points of area under the curve.
    """

    metric: str = "accuracy"
    target: float | None = None
    difference: float = 1.0


def analysed(runs: Mapping[str, Sequence[Mapping[str, Any]]], question: Question) -> dict[str, Any]:
    """Curves, areas, labels to target and paired comparisons of arms with the same seeds.

    ``runs`` maps arms to their runs in seed order, the reference among them. Areas and their differences
    are in points, a hundredth of the metric.
    """
    budgets = np.array(runs[REFERENCE][0]["labels"], dtype=np.int64)
    values = {arm: np.array([run[question.metric] for run in of_arm]) for arm, of_arm in runs.items()}
    target = question.target
    if target is None:
        target = float(values[REFERENCE][:, -1].mean())
    areas = {arm: _POINTS * area_under(budgets, curve) for arm, curve in values.items()}
    others = [arm for arm in values if arm != REFERENCE]
    against = _compared([(arm, REFERENCE) for arm in others], areas, question.difference)
    pairs = _compared(list(combinations(values, 2)), areas, question.difference)
    seeds = len(values[REFERENCE])
    return {
        "target": target,
        "arms": {arm: _arm(budgets, curve, areas[arm], target) for arm, curve in values.items()},
        "against_reference": against,
        "pairs": pairs,
        "wins": {a: {b: int((areas[a] > areas[b]).sum()) for b in values if b != a} for a in values},
        "warnings": _warnings(seeds, len(others), len(budgets)),
    }


def _arm(budgets: Ints, curve: Floats, area: FloatsN, target: float) -> dict[str, Any]:
    mean, half = mean_band(curve)
    area_mean, area_half = mean_band(area[:, None])
    times = labels_to_target(budgets, curve, target)
    return {
        "labels": budgets.tolist(),
        "mean": mean.tolist(),
        "half_width": None if half is None else half.tolist(),
        "by_seed": curve.tolist(),
        "area": float(area_mean[0]),
        "area_half_width": None if area_half is None else float(area_half[0]),
        "area_by_seed": area.tolist(),
        "to_target": censored_median(times),
        "to_target_by_seed": [None if time < 0 else int(time) for time in times],
        "at": {str(labels): float(mean[i]) for i, labels in _fixed(budgets)},
    }


def _fixed(budgets: Ints) -> list[tuple[int, int]]:
    """Three budgets: a quarter, half and all of the way."""
    at = sorted({round(share * (len(budgets) - 1)) for share in (0.25, 0.5, 1.0)})
    return [(i, int(budgets[i])) for i in at]


def _compared(
    pairs: Sequence[tuple[str, str]], areas: Mapping[str, FloatsN], difference: float
) -> list[dict[str, Any]]:
    """Paired comparisons, each first less second, p values adjusted over all of them by Holm."""
    found = [paired(areas[first] - areas[second]) for first, second in pairs]
    t = holm(np.array([1.0 if one.p_t is None else one.p_t for one in found]))
    ranks = holm(np.array([one.p_wilcoxon for one in found]))
    return [
        {
            "first": first,
            "second": second,
            **asdict(one),
            "p_t_holm": None if one.p_t is None else float(t[i]),
            "p_wilcoxon_holm": float(ranks[i]),
            "verdict": _verdict(one, float(t[i]), difference, len(pairs)),
            **_seeds(one, difference),
        }
        for i, ((first, second), one) in enumerate(zip(pairs, found, strict=True))
    ]


def _verdict(one: Paired, p: float, difference: float, comparisons: int) -> str:
    """better, worse, equivalent (within the asked difference), undecided, or too few seeds."""
    if one.pairs < FEWEST_SEEDS:
        return "too few seeds"
    if p < ALPHA:
        return "better" if one.mean > 0 else "worse"
    if equivalent(one, difference, ALPHA / comparisons):
        return "equivalent"
    return "undecided"


def _seeds(one: Paired, difference: float) -> dict[str, Any]:
    """Seeds for a power of .8 to find the asked difference, and the same for the ends of the deviation's interval."""
    if one.deviation is None:
        return {"seeds_needed": None, "seeds_needed_interval": None}
    ends = deviation_interval(one.deviation, one.pairs)
    return {
        "seeds_needed": seeds_needed(one.deviation, difference),
        "seeds_needed_interval": [seeds_needed(end, difference) for end in ends],
    }


def _warnings(seeds: int, comparisons: int, budgets: int) -> list[str]:
    found = []
    if seeds == 1:
        found.append("one seed: no error can be told and nothing is claimed; ask for --seeds 5 or more")
    elif seeds < FEWEST_SEEDS:
        found.append(f"{seeds} seeds are too few for a claim; ask for --seeds {FEWEST_SEEDS} or more")
    least = 2.0 ** (1 - seeds) * comparisons
    if seeds > 1 and least >= ALPHA:
        found.append(
            f"with {seeds} seeds the rank test's least p is {2.0 ** (1 - seeds):.2g}, {min(1.0, least):.2g} after Holm "
            f"over {comparisons}: it cannot fall below {ALPHA}, so verdicts are the t test's"
        )
    if budgets == 1:
        found.append("one budget: the area is the metric there")
    return found
