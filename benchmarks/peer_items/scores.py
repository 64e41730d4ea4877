"""Items a: entropy, margin, least confidence and the best n."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from peer_items import shims
from peer_items.item import Array, Contestant, Goal, Inputs, Item, Run, Work, log_probs, our_score, our_select


def given(function: Callable[[Array], Any]) -> Callable[[Inputs], Run]:
    """A function of probabilities."""

    def prepare(inputs: Inputs) -> Run:
        probs = np.exp(inputs["log_probs"])
        return lambda _: function(probs)

    return prepare


def on_torch(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Inputs], Run]:
    """A function of a tensor of probabilities."""

    def prepare(inputs: Inputs) -> Run:
        probs = torch.from_numpy(np.exp(inputs["log_probs"]))
        return lambda _: function(probs).numpy()

    return prepare


def skactiveml(method: str) -> Callable[[Inputs], Run]:
    return given(lambda p: shims.load("skactiveml.pool").uncertainty_scores(p, method=method))


def modal(name: str) -> Callable[[Inputs], Run]:
    return given(lambda p: getattr(shims.load("modAL.uncertainty"), name)(p))  # noqa: PLW0108 - imported when run


def baal(name: str) -> Callable[[Inputs], Run]:
    return given(lambda p: getattr(shims.load("baal.active.heuristics"), name)().get_uncertainties(p))


def pyrelational(name: str) -> Callable[[Inputs], Run]:
    return on_torch(lambda p: getattr(shims.pyrelational(), name)(p))  # noqa: PLW0108 - imported when run


def small_text(name: str) -> Callable[[Inputs], Run]:
    def prepare(inputs: Inputs) -> Run:
        strategy = getattr(shims.load("small_text.query_strategies.strategies"), name)()
        probs = np.exp(inputs["log_probs"])
        none, rows = np.array([]), np.arange(len(probs))
        return lambda _: strategy.score(shims.Posterior(probs), rows[:, None], rows, none, none)

    return prepare


def score_item(
    key: str, ours: str, classes: int, peers: tuple[Contestant, ...], goal: Goal, *, logs: bool = False
) -> Item:
    rows = 1_000_000 if classes == 10 else 100_000
    return Item(
        key=key,
        title=f"{ours.replace('_', ' ')} {rows:.0e}x{classes}".replace("e+0", "e"),
        inputs=lambda count: {"log_probs": log_probs(count, classes)},
        rows=rows,
        small_rows=3000 if classes == 10 else 300,
        contestants=(our_score(ours), *peers),
        work=lambda count: Work(read=count * classes * 4, logs=count * classes if logs else 0),
        goal=goal,
    )


def entropy_peers(classes: int) -> tuple[Contestant, ...]:
    unit = math.log(classes)
    return (
        Contestant("skactiveml", skactiveml("entropy"), library="scikit-activeml"),
        Contestant("modAL", modal("_proba_entropy"), library="modAL"),
        Contestant("baal", baal("Entropy"), library="baal"),
        Contestant(
            "pyrelational",
            pyrelational("classification_entropy"),
            "plain",
            "pyrelational",
            lambda t: np.asarray(t) * unit,
            note="NaN at p = 0",
        ),
        Contestant("torch p·log p", on_torch(lambda p: -(p * torch.log(p)).sum(1)), "plain", note="NaN at p = 0"),
        Contestant(
            "small-text", small_text("PredictionEntropy"), library="small-text", as_ours=lambda t: -t, share=0.002
        ),
    )


def margin_peers() -> tuple[Contestant, ...]:
    def two_best(p: torch.Tensor) -> torch.Tensor:
        best = torch.topk(p, 2, dim=1).values
        return best[:, 1] - best[:, 0]

    return (
        Contestant("skactiveml", skactiveml("margin_sampling"), "peer", "scikit-activeml", lambda t: t - 1),
        Contestant("modAL", modal("_proba_margin"), "peer", "modAL", lambda t: -t),
        Contestant("baal", baal("Margin"), "peer", "baal", lambda t: -np.asarray(t)),
        Contestant(
            "pyrelational", pyrelational("classification_margin_confidence"), "peer", "pyrelational", lambda t: t - 1
        ),
        Contestant("torch.topk", on_torch(two_best), "plain"),
        Contestant("small-text", small_text("BreakingTies"), "peer", "small-text", lambda t: -t, 0.01),
    )


def confidence_peers(classes: int) -> tuple[Contestant, ...]:
    shrink = (classes - 1) / classes
    return (
        Contestant("skactiveml", skactiveml("least_confident"), "peer", "scikit-activeml", lambda t: -np.log1p(-t)),
        Contestant("modAL", modal("_proba_uncertainty"), "peer", "modAL", lambda t: -np.log1p(-t)),
        Contestant("baal", baal("Certainty"), "peer", "baal", lambda t: -np.log(t)),
        Contestant(
            "pyrelational",
            pyrelational("classification_least_confidence"),
            "peer",
            "pyrelational",
            lambda t: -np.log(1 - np.asarray(t) * shrink),
        ),
        Contestant("small-text", small_text("LeastConfidence"), "peer", "small-text", lambda t: -np.log(t), 0.1),
    )


def with_scores(function: Callable[[Array, int], Any]) -> Callable[[Inputs], Run]:
    def prepare(inputs: Inputs) -> Run:
        scores = inputs["scores"]
        return lambda n: function(scores, n)

    return prepare


def largest_first(scores: Array, n: int) -> Array:
    best = np.argpartition(-scores, n)[:n]
    return best[np.argsort(-scores[best], kind="stable")]


TOP = Item(
    key="top",
    title="best 1000 of 1e6",
    inputs=lambda count: {"scores": np.random.default_rng(3).random(count)},
    rows=1_000_000,
    small_rows=3000,
    n=1000,
    small_n=50,
    contestants=(
        our_select("top"),
        Contestant("np.argpartition", with_scores(largest_first), "plain"),
        Contestant("torch.topk", with_scores(lambda s, n: torch.topk(torch.from_numpy(s), n).indices.numpy()), "plain"),
        Contestant(
            "modAL",
            with_scores(lambda s, n: shims.load("modAL.utils.selection").multi_argmax(s, n)[0]),
            library="modAL",
            note="in no order",
            checked=False,
        ),
        Contestant(
            "skactiveml",
            with_scores(lambda s, n: shims.load("skactiveml.utils").simple_batch(s.copy(), 0, batch_size=n)),
            library="scikit-activeml",
            note="copied, since it writes NaN into its input",
            sizes=(5, 25),
        ),
    ),
    work=lambda count: Work(read=count * 8),
    goal=Goal(faster=1.0),
    agree="picks",
)

ITEMS = (
    score_item("entropy", "entropy", 10, entropy_peers(10), Goal(3, 4, 20), logs=True),
    score_item("margin", "margin", 10, margin_peers(), Goal(3, 8, 20)),
    score_item("confidence", "least_confidence", 10, confidence_peers(10), Goal(3, 8, 20)),
    score_item("entropy-wide", "entropy", 1000, entropy_peers(1000), Goal(3, 4, 20), logs=True),
    score_item("margin-wide", "margin", 1000, margin_peers(), Goal(3, 8, 20)),
    score_item("confidence-wide", "least_confidence", 1000, confidence_peers(1000), Goal(3, 8, 20)),
    TOP,
)
