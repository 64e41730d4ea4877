"""Recipes: the field's names for a (train, score, select) triple, and what ``auto`` stands for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from al_plugin.errors import ParamsError, StrategyError, near
from al_plugin.signals import SIGNALS
from al_plugin.strategies import registry

# Fewer labels per class than this and no score of a model is trusted (methods.md, section 4).
COLD_START_LABELS_PER_CLASS = 5
# From here on a ranked list is redundant (Citovsky et al. 2021), and so it is where copies abound.
LARGE_QUERY = 10_000
REDUNDANT = 0.2
# Herding is quadratic in the pool.
HERDABLE = 20_000


@dataclass(frozen=True)
class Triple:
    """The strategies of one round and the reason for them."""

    train: str
    score: str
    select: str
    reason: str = ""


RECIPES: Mapping[str, Triple] = {
    "random": Triple("single", "random", "random"),
    # one model's doubt
    "least_confidence": Triple("single", "least_confidence", "top"),
    "margin": Triple("single", "margin", "top"),
    "entropy": Triple("single", "entropy", "top"),
    "density_weighted": Triple("single", "density_weighted", "top"),
    "expected_error_reduction": Triple("single", "expected_error_reduction", "top"),
    "variance_reduction": Triple("single", "variance_reduction", "top"),
    # a committee's disagreement
    "qbc": Triple("bootstrap_ensemble", "vote_entropy", "top"),
    "mc_dropout": Triple("single", "consensus_entropy", "top"),
    "forest": Triple("random_forest", "vote_entropy", "top"),
    "forest_bald": Triple("random_forest", "bald", "top"),
    "ensemble": Triple("ensemble", "variation_ratio", "top"),
    "snapshot": Triple("snapshot_ensemble", "variation_ratio", "top"),
    "diversity_ensemble": Triple("diversity_ensemble", "variation_ratio", "top"),
    "split_head": Triple("split_head", "variation_ratio", "top"),
    "bayes_by_backprop": Triple("bayes_by_backprop", "bald", "top"),
    "swag": Triple("swag", "bald", "top"),
    "bald": Triple("single", "bald", "top"),
    "power_bald": Triple("single", "bald", "power"),
    "batch_bald": Triple("single", "bald", "batch_bald"),
    "epig": Triple("single", "epig", "top"),
    # what a label would change
    "egl": Triple("single", "egl", "top"),
    "egl_word": Triple("single", "egl_word", "top"),
    "badge": Triple("single", "margin", "badge"),
    "bait": Triple("single", "margin", "bait"),
    "noise_stability": Triple("single", "margin", "noise_stability"),
    # cover the pool
    "coreset": Triple("single", "margin", "kcenter_greedy"),
    "robust_coreset": Triple("single", "margin", "robust_kcenter"),
    "typiclust": Triple("single", "margin", "typiclust"),
    "prob_cover": Triple("single", "margin", "prob_cover"),
    "max_herding": Triple("single", "margin", "max_herding"),
    "uherding": Triple("single", "margin", "uherding"),
    "facility_location": Triple("single", "margin", "facility_location"),
    # both
    "softmax_margin": Triple("single", "margin", "softmax"),
    "suggestive_annotation": Triple("bootstrap_ensemble", "mean_std", "max_cover"),
    "zhdanov": Triple("single", "margin", "weighted_kmeans"),
    "cluster_margin": Triple("single", "margin", "cluster_margin"),
    "max_det": Triple("single", "margin", "max_det"),
    "alfa_mix": Triple("single", "margin", "alfa_mix"),
    "drop_query": Triple("single", "margin", "drop_query"),
    "cal": Triple("single", "cal", "top"),
    "galaxy": Triple("single", "margin", "galaxy"),
    "seals": Triple("single", "margin", "seals"),
    "discriminative": Triple("single", "margin", "discriminative"),
    "active_lab": Triple("single", "active_lab", "top"),
    # what training shows or learns
    "label_dispersion": Triple("single", "label_dispersion", "top"),
    "forgetting": Triple("single", "forgetting", "top"),
    "learning_loss": Triple("loss_prediction", "loss_prediction", "top"),
    "ceal": Triple("ceal", "entropy", "top"),
    "consistency": Triple("consistency", "margin", "top"),
    "svp": Triple("proxy", "margin", "top"),
    "vaal": Triple("vaal", "vaal", "top"),
    "mal": Triple("mal", "mal", "top"),
}
# Those of the other tasks: numbers, then sets of labels.
OF_OTHER_TASKS: Mapping[str, Triple] = {
    "predictive_variance": Triple("single", "predictive_variance", "top"),
    "qbc_variance": Triple("ensemble", "predictive_variance", "top"),
    "gsx": Triple("single", "random", "gsx"),
    "gsy": Triple("single", "random", "gsy"),
    "igs": Triple("single", "random", "igs"),
    "label_entropy": Triple("single", "label_entropy", "top"),
    "label_margin": Triple("single", "label_margin", "top"),
    "label_bald": Triple("single", "label_bald", "top"),
}
ALL: Mapping[str, Triple] = {**RECIPES, **OF_OTHER_TASKS}


@dataclass(frozen=True)
class Facts:
    """What is known of a campaign: labels of each class, and, where it was looked at, what the pool is like.

    ``pool`` samples, ``n`` per query, ``near_duplicates`` the share of the pool with a near copy in it.
    """

    labels_per_class: Sequence[int]
    pool: int | None = None
    n: int | None = None
    near_duplicates: float | None = None


@dataclass(frozen=True)
class Advice:
    """A recipe and the fact that it follows from."""

    recipe: str
    reason: str


def suited(facts: Facts) -> Advice:
    """The recipe for a regime (the only place that says so): `auto` asks with the labels alone.

    TypiClust while a class is unseen or there are fewer than 5 C labels, else Cluster-Margin for queries of
    10,000 and more, UHerding where more than a fifth of the pool has a near copy (BADGE in pools too large for
    herding), and margin otherwise. Measured in benchmarks/RESULTS.md.
    """
    counts = facts.labels_per_class
    total, unseen = sum(counts), sum(count == 0 for count in counts)
    needed = COLD_START_LABELS_PER_CLASS * len(counts)
    if total < needed or unseen:
        return Advice("typiclust", f"cold start, {total} labels ({needed} wanted), {unseen} classes unseen")
    if facts.n is not None and facts.n >= LARGE_QUERY:
        return Advice("cluster_margin", f"queries of {facts.n}: a ranked list of so many repeats itself")
    if facts.near_duplicates is not None and facts.near_duplicates > REDUNDANT:
        why = f"{facts.near_duplicates:.0%} of the pool has a near copy: a ranked list asks for both"
        return Advice("uherding" if facts.pool is None or facts.pool <= HERDABLE else "badge", why)
    return Advice("margin", f"margin, {total} labels and every class seen")


def resolve(
    recipe: str, overrides: Mapping[str, str | None], labels_per_class: Sequence[int], task: str = "classes"
) -> Triple:
    """The triple of a round: the recipe's parts, each replaced where params.yaml names another.

    ``auto`` is a cold start (TypiClust) while a class is unseen or there are fewer than
    5 C labels, then margin; under other tasks see ``_automatic``. There a recipe whose batch looks at no score
    keeps its batch where its score needs classes. ParamsError for an unknown recipe.
    """
    if recipe == "auto":
        base = _automatic(labels_per_class, task)
    elif recipe in ALL:
        base = ALL[recipe]
    else:
        known = ("auto", *ALL)
        raise ParamsError(
            f"campaign.recipe asks for {recipe!r}, which does not exist{near(recipe, known)}",
            change=f"one of: {', '.join(known)}",
        )
    if task != "classes":
        looks = "scores" in registry.load("select", overrides.get("select") or base.select).signals
        if recipe == "auto" and looks:
            base = replace(base, score=_DOUBT[task])
        elif not looks and not registry.load("score", base.score).fits(task):
            base = replace(base, score="random")
    parts = {stage: overrides.get(stage) or getattr(base, stage) for stage in ("train", "score", "select")}
    return Triple(**parts, reason=base.reason or f"recipe {recipe}")


# What `auto` scores by under other tasks, where the batch looks at scores.
_DOUBT = {"regression": "predictive_variance", "multilabel": "label_margin"}


def _automatic(labels_per_class: Sequence[int], task: str) -> Triple:
    if task != "classes":
        return _other_task(labels_per_class, task)
    advice = suited(Facts(labels_per_class))
    return replace(RECIPES[advice.recipe], reason=f"auto: {advice.reason}")


def _other_task(labels_per_class: Sequence[int], task: str) -> Triple:
    """GSx for numbers, with or without labels; TypiClust, then the most doubtful label (benchmarks/RESULTS.md)."""
    if task == "regression":
        return replace(ALL["gsx"], reason="auto: far from what is labelled, which takes no model")
    fewest = min(labels_per_class, default=0)
    chosen, said = (
        ("typiclust", "cold start") if fewest < COLD_START_LABELS_PER_CLASS else ("label_margin", "label_margin")
    )
    return replace(ALL[chosen], reason=f"auto: {said}, every label {fewest} times or more")


def check_pairing(
    train: registry.Strategy,
    score: registry.Strategy,
    select: registry.Strategy,
    *,
    fitted: bool,
    task: str = "classes",
) -> None:
    """Raise StrategyError where a chosen strategy asks for what no one gives.

    ``fitted`` is False in round 0: whatever needs a model is refused then. Under a ``task`` there are only
    its signals.
    """
    for one in (train, score, select):
        _refuse_other_tasks(one, task)
    for chosen in (score, select):
        for signal in chosen.signals:
            source = SIGNALS[signal].source
            base = signal.removeprefix("labeled_")
            if source == "model" and base not in train.card.provides:
                raise StrategyError(
                    f"{chosen.stage}.strategy {chosen.name} needs {signal}, which train.strategy "
                    f"{train.name} does not give",
                    change=f"{train.name} gives: {', '.join(n for n in train.card.provides if SIGNALS[n].under(task))}",
                )
            if source in ("votes", "task"):
                raise StrategyError(f"{chosen.stage}.strategy {chosen.name} cannot ask for {signal}")
    if not fitted:
        needs = set(select.signals) & {s for s, v in SIGNALS.items() if v.source == "model"}
        if "scores" in select.signals and score.model_signals:
            needs.add("scores")
        if needs:
            raise StrategyError(
                f"select.strategy {select.name} needs {', '.join(sorted(needs))}, "
                "but there are no labels and so no model yet",
                change="use recipe auto, typiclust or random for the first query",
            )


def check_merge(merge: registry.Strategy, task: str) -> None:
    """Raise StrategyError where a merge strategy asks for votes that the task does not have."""
    _refuse_other_tasks(merge, task)


def _refuse_other_tasks(chosen: registry.Strategy, task: str) -> None:
    if chosen.fits(task):
        return
    others = f"under it: {', '.join(registry.fitting(chosen.stage, task))}"
    if chosen.stage == "train":
        raise StrategyError(
            f"train.strategy {chosen.name} trains for {', '.join(chosen.card.tasks)} only, campaign.task is {task}",
            change=others,
        )
    lacking = next(name for name in chosen.signals if not SIGNALS[name].under(task))
    raise StrategyError(
        f"{chosen.stage}.strategy {chosen.name} needs {lacking}, which campaign.task {task} does not have",
        change=others,
    )
