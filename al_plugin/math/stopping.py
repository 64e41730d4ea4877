"""When to stop: criteria that look at predictions on the unlabelled pool, at budgets, or at the metric.

Every criterion takes what happened round by round, oldest first, and says whether it holds, why, and by
which numbers. Only ``plateau`` looks at labels of the evaluation set, and says so. None is best for all
data (Pullar-Strecker et al. 2022), so they compose: ``decide``. Default thresholds: settings.CRITERIA.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from al_plugin.axes import FloatsN, IntsN

BUDGETS = ("labels", "money")


@dataclass(frozen=True)
class State:
    """A criterion after a round: ``holds`` is None where it cannot be judged; ``reason`` says why in words.

    ``on_evaluation``: it looks at labels of the evaluation set, so that stopping by it biases that metric
    upwards.
    """

    name: str
    holds: bool | None
    reason: str
    numbers: Mapping[str, float]
    on_evaluation: bool = False


@dataclass(frozen=True)
class Decision:
    """Whether to stop, and why."""

    stop: bool
    reason: str


def kappa(before: IntsN, after: IntsN) -> float:
    """Cohen's κ of two models' predicted classes (N,) on the same samples, in [-1, 1].

    (N·agree - Σ_c a_c b_c) / (N² - Σ_c a_c b_c) with a, b the counts of each class, in whole numbers;
    both always naming the same one class is 0/0 and defined as 1. Source: Cohen (1960).
    """
    total = len(before)
    classes = int(max(before.max(), after.max())) + 1
    a, b = (np.bincount(codes, minlength=classes).tolist() for codes in (before, after))
    chance = sum(x * y for x, y in zip(a, b, strict=True))
    if chance == total * total:
        return 1.0
    return float((total * int((before == after).sum()) - chance) / (total * total - chance))


def f_change(before: IntsN, after: IntsN) -> float:
    """Predicted change of F between two models on the same samples, in [0, 1]: ΔF = 1 - 2a / (2a + b + c).

    a counts samples that both call positive, b and c those that one of them does. With the other class
    (classes) positive in turn, the mean over all classes that either model names. Source: Altschuler &
    Bloodgood (2019), for two classes and one of them positive; the mean over classes is ours.
    """
    named = np.unique(np.concatenate([before, after]))
    size = int(named[-1]) + 1
    both = np.bincount(before[before == after], minlength=size)[named]
    either = np.bincount(before, minlength=size)[named] + np.bincount(after, minlength=size)[named]
    return float(np.mean(1.0 - 2.0 * both / either))


def changed_share(before: IntsN, after: IntsN) -> float:
    """Share of samples whose predicted class changed, in [0, 1]. Source: Zhu, Wang, Hovy (2008)."""
    return float((before != after).mean())


def uncertainty_bound(confidence: FloatsN, n_classes: int) -> float:
    """Mean over samples of the largest entropy that a top probability p allows, over log C, in [0, 1].

    H ≤ -p log p - (1-p) log(1-p) + (1-p) log(C-1) (Fano), exact for two classes. The entropy itself is
    never larger, so a threshold below it is kept.
    """
    p = np.clip(confidence.astype(np.float64), 1.0 / n_classes, 1.0)
    rest = 1.0 - p
    logs = np.log(np.where(rest > 0, rest, 1.0))
    bound = -p * np.log(p) - rest * logs + rest * math.log(max(n_classes - 1, 1))
    return float(np.clip(bound / math.log(n_classes), 0.0, 1.0).mean())


def stability_bound(divergence_forth: float, divergence_back: float) -> float:
    """Bound on the change of expected error between posteriors p and q with KL(p‖q) and KL(q‖p), nats, ≥ 0.

    R = x(KL_pq) + x(KL_qp), x(d) = exp(W((d-1)/e) + 1) - 1, the root ≥ 0 of (1+x) log(1+x) - x = d, W
    being Lambert's function. Source: Ishibashi & Hino (AISTATS 2020), PAC-Bayesian and deterministic.
    """
    from scipy.special import lambertw

    def root(divergence: float) -> float:
        # Near its branch point W loses half the digits; the series of x there is √(2d) + d/3.
        if divergence < 1e-8:
            return math.sqrt(2.0 * divergence) + divergence / 3.0
        return float(math.expm1(float(lambertw((divergence - 1.0) / math.e).real) + 1.0))

    return root(divergence_forth) + root(divergence_back)


def stabilising_predictions(kappas: Sequence[float], *, threshold: float, window: int) -> State:
    """The mean κ of the last ``window`` pairs of consecutive models reaches the threshold.

    Source: Bloodgood & Vijay-Shanker (2009), .99 and 3; their stop set is here the unlabelled pool.
    """
    name = "stabilising_predictions"
    if len(kappas) < window:
        return _too_few(name, len(kappas), window)
    mean = math.fsum(kappas[-window:]) / window
    numbers = {"kappa": mean, "threshold": threshold, "window": window}
    return State(name, mean >= threshold, f"mean kappa {mean:.4f} of {window} pairs of models", numbers)


def delta_f(changes: Sequence[float], *, threshold: float, window: int) -> State:
    """The predicted change of F stays within the threshold for ``window`` pairs (Altschuler & Bloodgood 2019)."""
    return _all_within("delta_f", changes, threshold, window, "predicted change of F")


def classification_change(shares: Sequence[float], *, threshold: float, window: int) -> State:
    """The share of changed predictions stays within the threshold for ``window`` pairs (Zhu, Wang, Hovy 2008)."""
    return _all_within("classification_change", shares, threshold, window, "share of changed predictions")


def overall_uncertainty(uncertainties: Sequence[float], *, threshold: float) -> State:
    """The mean entropy of the unlabelled pool, as a share of log C, is within the threshold (Zhu, Wang, Hovy 2008).

    From the confidence alone: see ``uncertainty_bound``; it errs towards going on.
    """
    name = "overall_uncertainty"
    if not uncertainties:
        return _too_few(name, 0, 1)
    value = uncertainties[-1]
    numbers = {"uncertainty": value, "threshold": threshold}
    return State(name, value <= threshold, f"mean entropy at most {value:.4f} of its maximum", numbers)


def error_stability(bounds: Sequence[float], *, threshold: float, window: int) -> State:
    """The bound on the change of error has fallen to a share of what it was in the first rounds.

    R_t / min(R_0, ..., R_window) ≤ threshold at some t > window; once reached, it holds. Source: the
    ratio, Ishibashi & Hino (2021, "error stability"); the bound, ``stability_bound``.
    """
    name = "error_stability"
    if len(bounds) <= window + 1:
        return _too_few(name, len(bounds), window + 2)
    first = min(bounds[: window + 1])
    ratios = [bound / first if first > 0 else 0.0 for bound in bounds[window + 1 :]]
    numbers = {"ratio": ratios[-1], "lowest": min(ratios), "threshold": threshold, "window": window}
    reason = f"bound on the change of error fell to {min(ratios):.4f} of the first {window + 1}"
    return State(name, min(ratios) <= threshold, reason, numbers)


def budget(name: str, spent: float, limit: float) -> State:
    """What was to be spent (``labels`` or ``money``) is spent."""
    return State(name, spent >= limit, f"{spent:g} of {limit:g} {name} spent", {"spent": spent, "limit": limit})


def plateau(metric: Sequence[float], *, threshold: float, window: int) -> State:
    """The best of the last ``window`` rounds is no more than the threshold above the best before.

    Looks at labels of the evaluation set.
    """
    name = "plateau"
    if len(metric) <= window:
        return replace(_too_few(name, len(metric), window + 1), on_evaluation=True)
    gain = max(metric[-window:]) - max(metric[:-window])
    numbers = {"gain": gain, "threshold": threshold, "window": window}
    reason = f"metric gained {gain:+.4f} in the last {window} rounds"
    return State(name, gain <= threshold, reason, numbers, on_evaluation=True)


def decide(states: Sequence[State], combine: str, rounds: int, min_rounds: int) -> Decision:
    """Stop if ``any`` or ``all`` of the criteria hold; never before ``min_rounds`` answered rounds.

    What cannot be judged does not hold. A budget is no inference and does not wait.
    """
    if not states:
        return Decision(stop=False, reason="no criterion is named in stop.criteria")
    early = rounds < min_rounds
    holding = [state for state in states if state.holds and (state.name in BUDGETS or not early)]
    stop = bool(holding) if combine == "any" else len(holding) == len(states)
    if stop:
        return Decision(stop=True, reason="; ".join(f"{state.name}: {state.reason}" for state in holding))
    if early:
        return Decision(stop=False, reason=f"{rounds} of at least {min_rounds} rounds (stop.min_rounds)")
    missing = [state for state in states if state not in holding]
    return Decision(stop=False, reason="; ".join(f"{state.name}: {state.reason}" for state in missing))


def _too_few(name: str, have: int, need: int) -> State:
    reason = f"{have} of the {need} rounds it looks at can be read"
    return State(name, None, reason, {"have": have, "need": need})


def _all_within(name: str, values: Sequence[float], threshold: float, window: int, what: str) -> State:
    if len(values) < window:
        return _too_few(name, len(values), window)
    worst = max(values[-window:])
    numbers = {"largest": worst, "threshold": threshold, "window": window}
    return State(name, worst <= threshold, f"{what} at most {worst:.4f} in {window} pairs of models", numbers)
